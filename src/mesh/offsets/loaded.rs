//! What the offsets topic says of one flow, record by record. Pure.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tracing::warn;

use crate::formats::{FormatError, GroupSync, GroupSyncKey, MapKey, OffsetsEntry};
use crate::model::{FlowName, TopicPartition};
use crate::offsets::OffsetMap;

/// What the offsets topic says of one flow.
#[derive(Debug, Default)]
pub struct LoadedOffsets {
    /// The maps, by source partition.
    pub maps: HashMap<TopicPartition, OffsetMap>,
    /// What group sync last wrote.
    pub groups: HashMap<GroupSyncKey, GroupSync>,
    /// Maps that can't be read; their partitions have none.
    pub damaged: HashMap<TopicPartition, DamagedMap>,
}

/// A map that can't be read.
#[derive(Debug)]
pub struct DamagedMap {
    /// What is wrong with it.
    pub error: FormatError,
    /// Its records' chunk numbers: what has to be removed before another map is stored in its place.
    pub chunks: Vec<u64>,
}

/// Takes the topic's records in their order.
pub(super) struct Collector<'a> {
    flow: &'a FlowName,
    chunks: HashMap<TopicPartition, BTreeMap<u64, Bytes>>,
    groups: HashMap<GroupSyncKey, GroupSync>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(flow: &'a FlowName) -> Self {
        Self { flow, chunks: HashMap::new(), groups: HashMap::new() }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// It was written by a newer program. One that is damaged is told and passed over: its group has then no record
    /// of a sync, which is safe.
    pub(super) fn take(
        &mut self,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), FormatError> {
        match OffsetsEntry::decode(key, value) {
            Ok(OffsetsEntry::Chunk(MapKey { flow, source, chunk }, value)) if flow == *self.flow => {
                let map = self.chunks.entry(source).or_default();
                match value {
                    // A copy, so that the whole answer it came in isn't kept.
                    Some(value) => map.insert(chunk, Bytes::copy_from_slice(&value)),
                    None => map.remove(&chunk),
                };
            }
            Ok(OffsetsEntry::GroupSync(key, value)) if key.flow == *self.flow => {
                match value {
                    Some(value) => self.groups.insert(key, value),
                    None => self.groups.remove(&key),
                };
            }
            Ok(_) => {}
            Err(error @ FormatError::Version { .. }) => return Err(error),
            Err(error) => {
                warn!(flow = %self.flow, offset, %error, "a record of the offsets topic is passed over")
            }
        }
        Ok(())
    }

    /// What all records together say.
    ///
    /// # Errors
    /// A map was written by a newer program.
    pub(super) fn finish(self) -> Result<LoadedOffsets, FormatError> {
        let mut loaded = LoadedOffsets { groups: self.groups, ..LoadedOffsets::default() };
        for (source, chunks) in self.chunks.into_iter().filter(|(_, chunks)| !chunks.is_empty()) {
            let numbers: Vec<u64> = chunks.keys().copied().collect();
            match OffsetMap::load(chunks) {
                Ok(map) => drop(loaded.maps.insert(source, map)),
                Err(error @ FormatError::Version { .. }) => return Err(error),
                Err(error) => drop(loaded.damaged.insert(source, DamagedMap { error, chunks: numbers })),
            }
        }
        Ok(loaded)
    }
}
