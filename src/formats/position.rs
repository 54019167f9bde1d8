//! Our own records: how far a partition has been mirrored, which process mirrors what, and what a person asked for.
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
const COMMAND: &str = "command";

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

/// The right to write positions: the offset of the claim that gave it, in the positions topic.
///
/// Every position carries the token it was written under, so what a process writes after another has claimed the same
/// scope can be told from what it wrote before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub i64);

/// A position as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StoredPosition {
    /// The claim under which it was written; `None` if a program wrote it that knew no tokens yet.
    #[serde(rename = "claim", default)]
    pub token: Option<Token>,
    /// The position.
    #[serde(flatten)]
    pub position: Position,
}

/// [`StoredPosition`], as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "claim", skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(flatten)]
    position: &'a Position,
}

impl Position {
    /// The record's value, written under the claim of this token.
    pub fn encode(&self, token: Option<Token>) -> Vec<u8> {
        json(&Versioned { v: VERSION, body: &Written { token, position: self } })
    }
}

impl StoredPosition {
    fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let stored: Self = versioned(POSITION, value)?;
        if stored.position.source_next < 0 || stored.position.target_next < 0 {
            return Err(FormatError::Damaged { record: POSITION, detail: "an offset is negative" });
        }
        if stored.token.is_some_and(|token| token.0 < 0) {
            return Err(FormatError::Damaged { record: POSITION, detail: "its claim has a negative offset" });
        }
        Ok(stored)
    }
}

/// What a claim is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClaimScope {
    /// A flow with all its partitions.
    Flow(FlowName),
    /// One partition of a flow, by its name on the source.
    Partition(FlowName, TopicPartition),
}

impl ClaimScope {
    /// The key of the scope's claim: `["claim", flow]` or `["claim", flow, topic, partition]`.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Flow(flow) => json(&(CLAIM, flow)),
            Self::Partition(flow, source) => json(&(CLAIM, flow, &source.topic, source.partition)),
        }
    }
}

/// Which process mirrors a scope; the latest claim counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The process: a random UUID, made at its start.
    pub process: String,
    /// The host it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// When it claimed, in milliseconds since the epoch.
    pub claimed_ms: i64,
    /// Whether it has stopped mirroring.
    pub released: bool,
}

impl Claim {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        json(&Versioned { v: VERSION, body: self })
    }
}

/// What a person asked of a flow, and what must outlive the process that was asked; the latest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whether the flow is to stand still, its claim and positions kept.
    pub paused: bool,
    /// When it was asked for, in milliseconds since the epoch.
    pub asked_ms: i64,
}

impl Command {
    /// The record's key: `["command", flow]`.
    pub fn key(flow: &FlowName) -> Vec<u8> {
        json(&(COMMAND, flow))
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
    Position(PositionKey, Option<StoredPosition>),
    /// The claim of a scope.
    Claim(ClaimScope, Option<Claim>),
    /// What a person asked of a flow.
    Command(FlowName, Option<Command>),
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
            let (flow, source) = partition_of(POSITION, key)?;
            let stored = value.map(StoredPosition::decode).transpose()?;
            Ok(PositionEntry::Position(PositionKey { flow, source }, stored))
        }
        Some(CLAIM) => {
            let scope = match fields.len() {
                2 => ClaimScope::Flow(flow_of(CLAIM, key)?),
                _ => partition_of(CLAIM, key).map(|(flow, source)| ClaimScope::Partition(flow, source))?,
            };
            let claim = value.map(|value| versioned(CLAIM, value)).transpose()?;
            Ok(PositionEntry::Claim(scope, claim))
        }
        Some(COMMAND) => {
            let command = value.map(|value| versioned(COMMAND, value)).transpose()?;
            Ok(PositionEntry::Command(flow_of(COMMAND, key)?, command))
        }
        Some(_) => Ok(PositionEntry::Unknown),
        None => Err(FormatError::Damaged {
            record: "positions",
            detail: "the key is no list that starts with a kind",
        }),
    }
}

fn flow_of(record: &'static str, key: &[u8]) -> Result<FlowName, FormatError> {
    parse(record, "key", key).map(|(_, flow): (String, FlowName)| flow)
}

fn partition_of(record: &'static str, key: &[u8]) -> Result<(FlowName, TopicPartition), FormatError> {
    let (_, flow, topic, partition): (String, FlowName, TopicName, i32) = parse(record, "key", key)?;
    if partition < 0 {
        return Err(FormatError::Damaged { record, detail: "the partition is negative" });
    }
    Ok((flow, TopicPartition::new(topic, partition)))
}

#[cfg(test)]
mod tests;
