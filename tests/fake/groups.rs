//! Consumer groups: what they committed, and how many members they are said to have.

use std::collections::BTreeMap;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
    /// Whether a transaction that commits another is open.
    pub(super) unstable: bool,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// By topic and partition.
    pub(super) commits: BTreeMap<(String, i32), Commit>,
    pub(super) members: usize,
    /// What its members are; empty for offsets that were committed without membership.
    pub(super) protocol_type: String,
}

impl Group {
    /// Its state in Kafka's word.
    pub(super) fn state(&self) -> &'static str {
        if self.members > 0 { "Stable" } else { "Empty" }
    }
}
