//! What a cycle read of a group on the source.

use crate::model::TopicPartition;
use crate::offsets::Translation;
use crate::wire::{Committed, GroupKind, GroupState, ListedGroup};

/// One group of the source, its offsets translated.
#[derive(Clone, Debug)]
pub struct GroupReading {
    /// The group.
    pub group: String,
    /// Its state on the source.
    pub state: GroupState,
    /// Offsets committed on partitions of topics that the flow mirrors.
    pub offsets: Vec<OffsetReading>,
    /// Why the offsets could not be read; there are none then.
    pub failed: Option<String>,
}

/// One committed offset of the source, translated.
#[derive(Clone, Debug)]
pub struct OffsetReading {
    /// The partition on the source.
    pub source: TopicPartition,
    /// The partition on the target.
    pub target: TopicPartition,
    /// What is committed on the source.
    pub committed: Committed,
    /// Where that is on the target.
    pub translation: Translation,
}

/// Whether a group's commits are those of consumers: classic or new protocol, or committed without membership. Groups
/// of Connect workers, share groups and streams groups are something else (as in MirrorMaker 2).
pub fn is_of_consumers(listed: &ListedGroup) -> bool {
    match listed.kind {
        GroupKind::Classic => matches!(listed.protocol_type.as_str(), "consumer" | ""),
        GroupKind::Consumer => true,
        GroupKind::Other(_) => false,
    }
}
