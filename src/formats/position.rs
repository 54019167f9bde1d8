//! Our own records: how far a partition has been mirrored, and which process mirrors a flow.
//!
//! They live in `__mirrormesh-positions.<source>` on the target, a compacted topic. Keys are JSON arrays, values
//! JSON objects with a version `v`. Fields that this program doesn't know are ignored, a version it doesn't know
//! is refused: a field may be added at any time, a change of meaning raises the version.

use serde::{Deserialize, Serialize};

use super::json::{VERSION, Versioned, json, parse, versioned};
use super::{Anchors, FormatError};
use crate::model::{Alias, FlowName, TopicId, TopicName, TopicPartition};

const POSITION: &str = "position";
const CLAIM: &str = "claim";

/// The topic that holds the positions of everything mirrored from `source`.
pub fn positions_topic(source: &Alias) -> TopicName {
    TopicName::from(format!("__mirrormesh-positions.{source}"))
}

/// Whose position it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PositionKey {
    /// The flow.
    pub flow: FlowName,
    /// The partition, by its name on the source.
    pub source: TopicPartition,
}

impl PositionKey {
    /// The record's key: `["position", flow, topic, partition]`.
    pub fn encode(&self) -> Vec<u8> {
        json(&(POSITION, &self.flow, &self.source.topic, self.source.partition))
    }
}

/// How far a partition has been mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Id of the source cluster.
    pub source_cluster: String,
    /// Id of the target cluster.
    pub target_cluster: String,
    /// Id of the source topic; zero if the broker has none.
    pub source_topic_id: TopicId,
    /// Name of the remote topic.
    pub remote_topic: TopicName,
    /// Id of the remote topic; zero if the broker has none.
    pub target_topic_id: TopicId,
    /// An epoch of the source's leader under which everything before `source_next` was in the log; −1 when unknown.
    pub source_epoch: i32,
    /// Leader epoch of the target partition; −1 when unknown.
    pub target_epoch: i32,
    /// Next source offset to mirror.
    pub source_next: i64,
    /// Target offset that the next record gets.
    pub target_next: i64,
    /// The producer under which it was written, where we chose it.
    pub producer: Option<ProducerState>,
    /// What filter and isolation it was mirrored under.
    pub fingerprint: String,
    /// Whether nothing was in flight any more and the partition stopped.
    pub clean: bool,
    /// Where mirroring stood before.
    pub anchors: Anchors,
    /// When the record was written, in milliseconds since the epoch.
    pub written_ms: i64,
}

/// Under which producer a passthrough flow goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerState {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence number of the next record.
    pub next_sequence: i32,
}

impl Position {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        json(&Versioned { v: VERSION, body: self })
    }

    fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let position: Self = versioned(POSITION, value)?;
        if position.source_next < 0 || position.target_next < 0 {
            return Err(FormatError::Damaged { record: POSITION, detail: "an offset is negative" });
        }
        Ok(position)
    }
}

/// Which process mirrors a flow; the latest claim counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The process: a random UUID, made at its start.
    pub process: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// When it claimed the flow, in milliseconds since the epoch.
    pub claimed_ms: i64,
    /// Whether it has stopped mirroring the flow.
    pub released: bool,
}

impl Claim {
    /// The record's key: `["claim", flow]`.
    pub fn key(flow: &FlowName) -> Vec<u8> {
        json(&(CLAIM, flow))
    }

    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        json(&Versioned { v: VERSION, body: self })
    }
}

/// A record of the positions topic. `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PositionEntry {
    /// A partition's position.
    Position(PositionKey, Option<Position>),
    /// A flow's claim.
    Claim(FlowName, Option<Claim>),
    /// A kind that a newer program wrote.
    Unknown,
}

/// Reads a record of the positions topic.
///
/// Fails if the key is no JSON array that starts with a kind, if a known kind can't be read, or if its version is
/// not known.
pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<PositionEntry, FormatError> {
    let key = key.ok_or(FormatError::NullKey { record: "positions" })?;
    let fields: Vec<serde_json::Value> = parse("positions", "key", key)?;
    match fields.first().and_then(serde_json::Value::as_str) {
        Some(POSITION) => {
            let (_, flow, topic, partition): (String, FlowName, TopicName, i32) =
                parse(POSITION, "key", key)?;
            if partition < 0 {
                return Err(FormatError::Damaged { record: POSITION, detail: "the partition is negative" });
            }
            let key = PositionKey { flow, source: TopicPartition::new(topic, partition) };
            Ok(PositionEntry::Position(key, value.map(Position::decode).transpose()?))
        }
        Some(CLAIM) => {
            let (_, flow): (String, FlowName) = parse(CLAIM, "key", key)?;
            let claim = value.map(|value| versioned(CLAIM, value)).transpose()?;
            Ok(PositionEntry::Claim(flow, claim))
        }
        Some(_) => Ok(PositionEntry::Unknown),
        None => Err(FormatError::Damaged {
            record: "positions",
            detail: "the key is no list that starts with a kind",
        }),
    }
}

#[cfg(test)]
#[path = "position_tests.rs"]
mod tests;
