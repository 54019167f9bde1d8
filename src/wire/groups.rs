//! Consumer groups: which there are, what they have committed, and commits on their behalf.
//!
//! `list` asks every broker, `committed` and `commit` the group's coordinator (`coordinators`).

mod commit;
mod committed;
mod coordinators;
mod list;

use super::error::WireError;
use crate::model::TopicPartition;
use crate::model::groups::{Committed, GroupState};

/// The groups of a cluster, as far as its brokers told.
#[derive(Clone, Debug, Default)]
pub struct GroupListing {
    /// Every group once, in the order of their names.
    pub groups: Vec<ListedGroup>,
    /// Brokers that didn't tell, and why: groups that they coordinate are missing above.
    pub failed: Vec<(i32, WireError)>,
}

/// A group that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// Whether it has members.
    pub state: GroupState,
    /// Which protocol it follows.
    pub kind: GroupKind,
    /// What its members are: `consumer` for consumers, empty for offsets committed without membership, something
    /// else for Connect workers and the like.
    pub protocol_type: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
}

impl ListedGroup {
    /// Whether it is a group of consumers, or of offsets only; not of Connect workers, share or streams members.
    pub fn is_of_consumers(&self) -> bool {
        match self.kind {
            GroupKind::Classic => matches!(self.protocol_type.as_str(), "" | "consumer"),
            GroupKind::Consumer => true,
            GroupKind::Other(_) => false,
        }
    }
}

/// The protocol that a group follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Members assign partitions among themselves; also offsets committed without membership. All groups of brokers
    /// before 3.8, which don't tell.
    Classic,
    /// The coordinator assigns partitions (KIP-848).
    Consumer,
    /// Something else, in the broker's word: `share`, `streams`.
    Other(String),
}

/// What a group has committed for a partition.
#[derive(Clone, Debug)]
pub struct CommittedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The commit; [`WireError::is_unstable_offset`] while a transaction that commits another is open.
    pub committed: Result<Committed, WireError>,
}

/// Offsets to be committed for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommit {
    /// The group; it is created if it doesn't exist.
    pub group: String,
    /// Partition, offset, and the text to leave with it.
    pub offsets: Vec<(TopicPartition, i64, String)>,
}

/// What became of a group's commit: per partition, or why nothing is known of any.
pub type CommitOutcome = Result<Vec<(TopicPartition, Result<(), WireError>)>, WireError>;
