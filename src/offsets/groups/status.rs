//! What is shown of a group.

use super::{GroupReading, GroupWork};
use crate::model::TopicPartition;
use crate::model::groups::{GroupPartitionStatus, GroupRefusal, GroupState, GroupStatus, RefusalReason};
use crate::offsets::Translation;

/// What is known of a group's partition on both sides.
#[derive(Clone, Debug)]
pub struct PartitionFacts {
    /// The partition on the source.
    pub source: TopicPartition,
    /// The partition on the target.
    pub target: TopicPartition,
    /// Committed on the source.
    pub source_offset: Option<i64>,
    /// Where that is on the target.
    pub translation: Translation,
    /// Committed on the target.
    pub target_offset: Option<i64>,
    /// The end of the source's log.
    pub source_end: Option<i64>,
    /// What is mirrored next: source and target offset; `None` without an offset map.
    pub mirrored: Option<(i64, i64)>,
    /// Why the partition is not kept in step, if it isn't.
    pub refused: Option<GroupRefusal>,
}

impl PartitionFacts {
    /// What is shown of the partition.
    pub fn into_status(self) -> GroupPartitionStatus {
        let (source_next, target_next) = self.mirrored.unzip();
        GroupPartitionStatus {
            source_lag: lag(self.source_end, self.source_offset),
            translated: self.translated(),
            worth: self.source_offset.map(|_| self.translation.worth()),
            target_lag: lag(target_next, self.target_offset),
            redelivery: self.redelivery(source_next),
            source: self.source,
            target: self.target,
            source_offset: self.source_offset,
            target_offset: self.target_offset,
            refused: self.refused,
        }
    }

    fn translated(&self) -> Option<i64> {
        self.source_offset.and(self.translation.offset())
    }

    /// What a failover now would read again: records that are on the target, and those read but not yet mirrored.
    fn redelivery(&self, source_next: Option<i64>) -> Option<i64> {
        let there = (self.translated()? - self.target_offset?).max(0);
        let ahead = (self.source_offset? - source_next?).max(0);
        Some(there + ahead)
    }
}

fn lag(end: Option<i64>, offset: Option<i64>) -> Option<i64> {
    Some((end? - offset?).max(0))
}

/// A group's state in a word; `absent` if it is not there.
pub fn state_text(state: Option<&GroupState>) -> String {
    state.map_or_else(|| "absent".to_owned(), GroupState::to_string)
}

impl GroupReading {
    /// What is shown of a group that was only read; `source_end` tells where a partition's log ends.
    pub fn into_status(self, source_end: impl Fn(&TopicPartition) -> Option<i64>) -> GroupStatus {
        let partitions = self.offsets.into_iter().map(|offset| {
            let facts = PartitionFacts {
                source_end: source_end(&offset.source),
                source: offset.source,
                target: offset.target,
                source_offset: Some(offset.committed.offset),
                translation: offset.translation,
                target_offset: None,
                mirrored: None,
                refused: None,
            };
            facts.into_status()
        });
        GroupStatus {
            source_state: state_text(Some(&self.state)),
            target_state: "unknown".to_owned(),
            partitions: partitions.collect(),
            last_sync_ms: None,
            refused: self.failed.map(|detail| GroupRefusal { reason: RefusalReason::Unavailable, detail }),
            group: self.group,
        }
    }
}

impl GroupWork {
    /// What is shown of a group whose writes were carried out; `None` if there is nothing to show.
    ///
    /// `source_end` tells where a partition's log ends, `synced_before_ms` when both sides were found in step before.
    pub fn into_status(
        self,
        source_end: impl Fn(&TopicPartition) -> Option<i64>,
        synced_before_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<GroupStatus> {
        let partitions = self.partitions.into_iter().map(|work| {
            let facts = PartitionFacts {
                source_end: source_end(&work.source),
                source: work.source,
                target: work.target,
                source_offset: work.source_commit.map(|committed| committed.offset),
                translation: work.facts.forward,
                target_offset: work.target_commit.map(|committed| committed.offset),
                mirrored: work.mirrored,
                refused: work.refused,
            };
            facts.into_status()
        });
        let partitions: Vec<_> = partitions.collect();
        let refused =
            self.refused.or_else(|| partitions.iter().find_map(|partition| partition.refused.clone()));
        if partitions.is_empty() && refused.is_none() {
            return None;
        }
        Some(GroupStatus {
            source_state: state_text(self.source_state.as_ref()),
            target_state: state_text(self.target_state.as_ref()),
            partitions,
            last_sync_ms: if refused.is_none() { Some(now_ms) } else { synced_before_ms },
            refused,
            group: self.group,
        })
    }
}
