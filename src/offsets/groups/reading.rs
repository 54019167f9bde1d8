//! What was read of a group.

use super::TopicPairs;
use crate::model::TopicPartition;
use crate::model::groups::{Committed, GroupRefusal, GroupState};
use crate::offsets::Translation;

/// What a group has committed, by partition, each with its own failure.
pub type Commits = Vec<(TopicPartition, Result<Committed, GroupRefusal>)>;

/// What was read of a group on one side.
#[derive(Clone, Debug)]
pub struct SideReading {
    /// Its state; `None` if it is not there.
    pub state: Option<GroupState>,
    /// Its commits, or why they can't be had.
    pub offsets: Result<Commits, GroupRefusal>,
}

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

impl GroupReading {
    /// Translates what a group has committed on the source; `translate` asks the partition's offset map.
    ///
    /// A partition whose commit can't be had is left out.
    pub fn of(
        group: &str,
        side: &SideReading,
        topics: &TopicPairs,
        translate: impl Fn(&TopicPartition, i64) -> Translation,
    ) -> Self {
        let state = side.state.clone().unwrap_or(GroupState::Dead);
        let (offsets, failed) = match &side.offsets {
            Err(refusal) => (Vec::new(), Some(refusal.detail.clone())),
            Ok(commits) => {
                let readings = commits.iter().filter_map(|(source, committed)| {
                    let committed = committed.as_ref().ok()?.clone();
                    let target = topics.to_target(source)?;
                    let translation = translate(source, committed.offset);
                    Some(OffsetReading { source: source.clone(), target, committed, translation })
                });
                (readings.collect(), None)
            }
        };
        Self { group: group.to_owned(), state, offsets, failed }
    }
}
