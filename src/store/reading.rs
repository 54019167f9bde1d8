//! What a cycle read of a group on the source.

use crate::model::TopicPartition;
use crate::offsets::Translation;
use crate::wire::{Committed, GroupState};

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

/// A group's state in a word.
pub fn state_word(state: Option<&GroupState>) -> String {
    match state {
        None => "absent".to_owned(),
        Some(GroupState::Empty) => "empty".to_owned(),
        Some(GroupState::Dead) => "dead".to_owned(),
        Some(GroupState::Unknown) => "unknown".to_owned(),
        Some(GroupState::Active(word)) => word.to_lowercase(),
    }
}
