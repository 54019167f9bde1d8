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
    /// Records that can't be read, each logged with its offset.
    pub unreadable: u64,
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
    unreadable: u64,
}

impl<'a> Collector<'a> {
    pub(super) fn new(flow: &'a FlowName) -> Self {
        Self { flow, chunks: HashMap::new(), groups: HashMap::new(), unreadable: 0 }
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
                self.unreadable += 1;
                warn!(target: crate::store::LOG, flow = %self.flow, offset, %error, "a record of the offsets topic is passed over");
            }
        }
        Ok(())
    }

    /// What all records together say.
    ///
    /// # Errors
    /// A map was written by a newer program.
    pub(super) fn finish(self) -> Result<LoadedOffsets, FormatError> {
        let mut loaded =
            LoadedOffsets { groups: self.groups, unreadable: self.unreadable, ..LoadedOffsets::default() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Segment, TopicId};
    use crate::offsets::{ChunkChange, MapIdentity, Translation};

    fn source() -> TopicPartition {
        TopicPartition::new("orders", 1)
    }

    fn key(flow: &str, chunk: u64) -> Vec<u8> {
        MapKey { flow: flow.into(), source: source(), chunk }.encode()
    }

    fn group_key(flow: &str) -> GroupSyncKey {
        GroupSyncKey { flow: flow.into(), group: "g".to_owned(), topic: "orders".into() }
    }

    /// A map whose records lie `shift` further on the target, and what is to be stored of it.
    fn stored(shift: i64) -> (OffsetMap, Vec<(u64, Vec<u8>)>) {
        let identity = MapIdentity {
            source_topic_id: TopicId::default(),
            remote_topic: "A.orders".into(),
            target_topic_id: TopicId::default(),
        };
        let mut map = OffsetMap::new(identity, 0, shift);
        map.acknowledged(&[Segment { source_base: 0, target_base: shift, count: 10 }], 10);
        let writes = map.take_changes().into_iter().map(|change| match change {
            ChunkChange::Write { chunk, value } => (chunk, value),
            ChunkChange::Remove { chunk } => panic!("a new map removes chunk {chunk}"),
        });
        let writes = writes.collect();
        (map, writes)
    }

    #[test]
    fn the_newest_records_of_the_flow_count_and_tombstones_remove() {
        let flow = FlowName::from("ours");
        let mut collector = Collector::new(&flow);
        let (older, newer) = (stored(3), stored(7));
        for (_, records) in [&older, &newer] {
            for (chunk, value) in records {
                collector.take(0, Some(&key("ours", *chunk)), Some(value)).unwrap();
                collector.take(0, Some(&key("others", *chunk)), Some(value)).unwrap();
            }
        }
        let sync = GroupSync::default();
        collector.take(0, Some(&group_key("ours").encode()), Some(&sync.encode())).unwrap();
        let gone = GroupSyncKey { group: "gone".to_owned(), ..group_key("ours") };
        collector.take(0, Some(&gone.encode()), Some(&sync.encode())).unwrap();
        collector.take(0, Some(&gone.encode()), None).unwrap();
        collector.take(0, Some(&group_key("others").encode()), Some(&sync.encode())).unwrap();
        let loaded = collector.finish().unwrap();
        assert_eq!(loaded.maps, HashMap::from([(source(), newer.0)]));
        assert_eq!(loaded.maps[&source()].forward(4), Translation::Exact(11));
        assert_eq!(loaded.groups, HashMap::from([(group_key("ours"), sync)]));

        let mut collector = Collector::new(&flow);
        for (chunk, value) in &newer.1 {
            collector.take(0, Some(&key("ours", *chunk)), Some(value)).unwrap();
            collector.take(0, Some(&key("ours", *chunk)), None).unwrap();
        }
        assert!(collector.finish().unwrap().maps.is_empty());
    }

    #[test]
    fn a_damaged_map_is_told_with_what_has_to_be_removed_and_others_are_loaded() {
        let flow = FlowName::from("ours");
        let mut collector = Collector::new(&flow);
        let (map, records) = stored(0);
        let whole = TopicPartition::new("orders", 2);
        for (chunk, value) in &records {
            collector.take(0, Some(&key("ours", *chunk)), Some(&value[..value.len() - 1])).unwrap();
            let key = MapKey { flow: flow.clone(), source: whole.clone(), chunk: *chunk };
            collector.take(0, Some(&key.encode()), Some(value)).unwrap();
        }
        // A record that can't even be told apart stops nothing.
        collector.take(0, Some(b"{"), Some(b"")).unwrap();
        collector.take(0, None, Some(b"")).unwrap();
        let loaded = collector.finish().unwrap();
        assert_eq!(loaded.maps, HashMap::from([(whole, map)]));
        let chunks: Vec<u64> = records.iter().map(|(chunk, _)| *chunk).collect();
        assert_eq!(loaded.damaged[&source()].chunks, chunks);
    }

    #[test]
    fn what_somebody_else_wrote_is_counted_and_passed_over() {
        let flow = FlowName::from("ours");
        let mut collector = Collector::new(&flow);
        collector.take(0, Some(b"not"), Some(b"ours")).unwrap();
        collector.take(1, None, Some(b"without a key")).unwrap();
        let (map, records) = stored(0);
        for (chunk, value) in &records {
            collector.take(2, Some(&key("ours", *chunk)), Some(value)).unwrap();
        }
        let loaded = collector.finish().unwrap();
        assert_eq!((loaded.unreadable, loaded.maps.get(&source())), (2, Some(&map)));
    }

    #[test]
    fn what_a_newer_program_wrote_is_refused() {
        let flow = FlowName::from("ours");
        let mut collector = Collector::new(&flow);
        let newer = br#"{"v":2}"#;
        let error = collector.take(0, Some(&group_key("ours").encode()), Some(newer)).unwrap_err();
        assert!(matches!(error, FormatError::Version { .. }), "{error}");
        let (_, mut records) = stored(0);
        records[0].1[0] = 9;
        collector.take(0, Some(&key("ours", records[0].0)), Some(&records[0].1)).unwrap();
        let error = collector.finish().map(drop).unwrap_err();
        assert!(matches!(error, FormatError::Version { version: 9, .. }), "{error}");
    }
}
