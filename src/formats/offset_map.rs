//! Our own records about consumer groups: the offset maps, and what was synced of each group.
//!
//! They live in `__mirrormesh-offsets.<source>` on the target, a compacted topic. Keys are JSON arrays. A map is kept
//! in chunks, whose values are binary and which only the room of offset maps reads: there may be thousands of them.
//! What was synced is JSON with a version `v`, and read as [positions](super::Position) are: fields that this program
//! doesn't know are ignored, a version it doesn't know is refused.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::FormatError;
use super::json::{VERSION, Versioned, json, parse, versioned};
use crate::model::{Alias, FlowName, Side, TopicName, TopicPartition};

const MAP: &str = "map";
const GROUP: &str = "group";
/// Names the topic where a key tells no kind.
const RECORD: &str = "map or group";

/// The topic that holds the offset maps of everything mirrored from `source`.
pub fn offsets_topic(source: &Alias) -> TopicName {
    TopicName::from(format!("__mirrormesh-offsets.{source}"))
}

/// Which chunk of which map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MapKey {
    /// The flow.
    pub flow: FlowName,
    /// The partition, by its name on the source.
    pub source: TopicPartition,
    /// The chunk's number.
    pub chunk: u64,
}

impl MapKey {
    /// The record's key: `["map", flow, topic, partition, chunk]`.
    pub fn encode(&self) -> Vec<u8> {
        json(&(MAP, &self.flow, &self.source.topic, self.source.partition, self.chunk))
    }
}

/// Which group's offsets on which topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupSyncKey {
    /// The flow.
    pub flow: FlowName,
    /// The consumer group.
    pub group: String,
    /// The topic, by its name on the source.
    pub topic: TopicName,
}

impl GroupSyncKey {
    /// The record's key: `["group", flow, group, topic]`.
    pub fn encode(&self) -> Vec<u8> {
        json(&(GROUP, &self.flow, &self.group, &self.topic))
    }
}

/// What was synced of a group's offsets on one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSync {
    /// Its partitions.
    pub partitions: Vec<SyncedPartition>,
}

/// What was synced of a group's offset on one partition.
///
/// A plan is stored before the commit is sent. So an offset that equals one of the four is never mistaken for
/// somebody else's, whenever the process died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedPartition {
    /// The partition's index.
    pub partition: i32,
    /// The group's offset on the source when both sides last agreed; `None` before the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<i64>,
    /// Its offset on the target then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<i64>,
    /// The side whose commit it was, while the other one followed.
    #[serde(default, skip_serializing_if = "Side::is_source")]
    pub owner: Side,
    /// The offset on the source once what is planned is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_source: Option<i64>,
    /// The offset on the target then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_target: Option<i64>,
    /// The side whose commit is followed then.
    #[serde(default, skip_serializing_if = "Side::is_source")]
    pub planned_owner: Side,
    /// When it was last committed, in milliseconds since the epoch.
    pub written_ms: i64,
}

impl GroupSync {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        json(&Versioned { v: VERSION, body: self })
    }

    fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let sync: Self = versioned(GROUP, value)?;
        let damaged = |detail| Err(FormatError::Damaged { record: GROUP, detail });
        for synced in &sync.partitions {
            let offsets = [synced.source, synced.target, synced.planned_source, synced.planned_target];
            if synced.partition < 0 {
                return damaged("a partition is negative");
            }
            if offsets.into_iter().flatten().any(|offset| offset < 0) {
                return damaged("an offset is negative");
            }
        }
        Ok(sync)
    }
}

/// A record of the offsets topic. `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsEntry {
    /// A chunk of a partition's map; the map itself reads the value.
    Chunk(MapKey, Option<Bytes>),
    /// What was synced of a group.
    GroupSync(GroupSyncKey, Option<GroupSync>),
    /// A kind that a newer program wrote.
    Unknown,
}

impl OffsetsEntry {
    /// Reads a record of the offsets topic.
    ///
    /// Fails if the key is no JSON array that starts with a kind, if a known kind can't be read, or if its version is
    /// not known. A chunk's value is copied, so that it doesn't hold the response that it came with.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, FormatError> {
        let key = key.ok_or(FormatError::NullKey { record: RECORD })?;
        let fields: Vec<serde_json::Value> = parse(RECORD, "key", key)?;
        match fields.first().and_then(serde_json::Value::as_str) {
            Some(MAP) => {
                let (_, flow, topic, partition, chunk): (String, FlowName, TopicName, i32, u64) =
                    parse(MAP, "key", key)?;
                if partition < 0 {
                    return Err(FormatError::Damaged { record: MAP, detail: "the partition is negative" });
                }
                let key = MapKey { flow, source: TopicPartition::new(topic, partition), chunk };
                Ok(Self::Chunk(key, value.map(Bytes::copy_from_slice)))
            }
            Some(GROUP) => {
                let (_, flow, group, topic): (String, FlowName, String, TopicName) =
                    parse(GROUP, "key", key)?;
                let sync = value.map(GroupSync::decode).transpose()?;
                Ok(Self::GroupSync(GroupSyncKey { flow, group, topic }, sync))
            }
            Some(_) => Ok(Self::Unknown),
            None => Err(FormatError::Damaged {
                record: RECORD,
                detail: "the key is no list that starts with a kind",
            }),
        }
    }
}

#[cfg(test)]
mod tests;
