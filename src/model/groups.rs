//! Consumer groups: what brokers tell of them, and what tables, `/offsets` and metrics show.
//! Field names are part of the interface; lags are in records.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TopicPartition;

/// Whether a group has members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// It has none: it is only its committed offsets.
    Empty,
    /// It has some; the state in the broker's word (`Stable`, `PreparingRebalance`, `Assigning` ..).
    Active(String),
    /// It is about to be removed.
    Dead,
    /// The broker doesn't tell.
    Unknown,
}

impl GroupState {
    /// Whether it certainly has members.
    pub fn has_members(&self) -> bool {
        matches!(self, Self::Active(_))
    }
}

impl fmt::Display for GroupState {
    /// The word in tables and JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Active(word) => f.write_str(&word.to_lowercase()),
            Self::Dead => f.write_str("dead"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A committed offset, with what was committed beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// Leader epoch of the record before; −1 when it is not known.
    pub leader_epoch: i32,
    /// The text that the committer left with it.
    pub metadata: String,
}

/// One group of a flow at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// The group.
    pub group: String,
    /// Its state on the source: `empty`, `stable` and so on, or `absent`.
    pub source_state: String,
    /// Its state on the target.
    pub target_state: String,
    /// Its partitions with a committed offset on one of the sides.
    pub partitions: Vec<GroupPartitionStatus>,
    /// When both sides were last found in step, milliseconds since the epoch.
    pub last_sync_ms: Option<i64>,
    /// Why the group is not kept in step, if it isn't; the first reason of its partitions.
    pub refused: Option<GroupRefusal>,
}

/// One partition of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupPartitionStatus {
    /// The partition on the source.
    pub source: TopicPartition,
    /// The partition on the target.
    pub target: TopicPartition,
    /// Committed on the source.
    pub source_offset: Option<i64>,
    /// Records on the source that follow the committed offset.
    pub source_lag: Option<i64>,
    /// The source's commit, translated.
    pub translated: Option<i64>,
    /// What the translation is worth; `None` without a commit on the source.
    pub worth: Option<Worth>,
    /// Committed on the target.
    pub target_offset: Option<i64>,
    /// Records on the target that follow the committed offset, as far as we mirrored.
    pub target_lag: Option<i64>,
    /// Records that a failover now would read again.
    pub redelivery: Option<i64>,
    /// Why the partition is not kept in step, if it isn't.
    pub refused: Option<GroupRefusal>,
}

/// What a translated offset is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Worth {
    /// Every record before it was read, none after it.
    #[serde(rename = "exact")]
    Exact,
    /// No unread record lies before it, some that follow may have been read.
    #[serde(rename = "earliest safe")]
    EarliestSafe,
    /// There is no translated offset.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Worth {
    /// The words in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::EarliestSafe => "earliest safe",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an offset is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRefusal {
    /// The class.
    pub reason: RefusalReason,
    /// What it means and what to do, for people.
    pub detail: String,
}

/// Classes of reasons why an offset is left as it is: a bounded set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The group has active members on the side that would be written.
    Active,
    /// Both sides were changed, and not to the same place.
    Conflict,
    /// The target's commit is newer, and the mesh has no flow back.
    TargetOwns,
    /// The source's commit is gone, while the target still has ours.
    SourceGone,
    /// The partition has not been looked at yet.
    Pending,
    /// The map does not know the offset.
    Unknown,
    /// The offset is part of an open transaction.
    Unstable,
    /// Our credentials lack a right.
    Unauthorized,
    /// The group's coordinator does not answer, or moved.
    Unavailable,
    /// What we wrote can't be remembered, so nothing is written.
    NotRemembered,
    /// Anything else.
    Other,
}

impl RefusalReason {
    /// Every reason, so that its counter exists before the first one.
    pub const ALL: [Self; 11] = [
        Self::Active,
        Self::Conflict,
        Self::TargetOwns,
        Self::SourceGone,
        Self::Pending,
        Self::Unknown,
        Self::Unstable,
        Self::Unauthorized,
        Self::Unavailable,
        Self::NotRemembered,
        Self::Other,
    ];

    /// The label used in metrics, tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Conflict => "conflict",
            Self::TargetOwns => "target_owns",
            Self::SourceGone => "source_gone",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Unstable => "unstable",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::NotRemembered => "not_remembered",
            Self::Other => "other",
        }
    }
}

/// All groups of a flow, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupsSummary {
    /// Groups with at least one translated offset.
    pub groups: u64,
    /// Partitions of groups whose committed offset is translated.
    pub partitions: u64,
    /// Groups with a partition that is not kept in step.
    pub refused: u64,
    /// Since checkpoints were last acknowledged, or found to need no record.
    pub checkpoint_age_ms: Option<i64>,
    /// Records of the checkpoints topic that can't be read.
    pub damaged_checkpoints: u64,
    /// Records that a failover now would read again, over all groups.
    pub redelivery: i64,
}
