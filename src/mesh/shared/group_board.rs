//! The status board of a flow's groups: each round writes it, `/offsets`, tables and metrics read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::groups::{GroupStatus, GroupsSummary};
use crate::telemetry::clock;

/// Partitions of groups that are shown: about 300 bytes each. What exceeds it is counted, not shown.
const MOST_PARTITIONS: usize = 100_000;

/// The board of one flow's groups. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct GroupBoard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shown: Mutex<Arc<Shown>>,
    checkpointed_ms: AtomicI64,
    damaged_checkpoints: AtomicU64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            shown: Mutex::default(),
            checkpointed_ms: AtomicI64::new(-1),
            damaged_checkpoints: AtomicU64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct Shown {
    groups: Vec<GroupStatus>,
    /// Groups whose partitions found no room.
    left_out: usize,
    summary: GroupsSummary,
    round_ms: Option<i64>,
}

/// What the board shows at one moment; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct GroupsSnapshot {
    shown: Arc<Shown>,
}

impl GroupsSnapshot {
    /// The groups by name.
    pub fn groups(&self) -> &[GroupStatus] {
        &self.shown.groups
    }

    /// One group.
    pub fn group(&self, name: &str) -> Option<&GroupStatus> {
        let found = self.shown.groups.binary_search_by(|status| status.group.as_str().cmp(name)).ok()?;
        self.shown.groups.get(found)
    }

    /// Groups that are followed but not shown, because there are too many partitions.
    pub fn left_out(&self) -> usize {
        self.shown.left_out
    }

    /// When the last round ended, milliseconds since the epoch; `None` before the first.
    pub fn round_ms(&self) -> Option<i64> {
        self.shown.round_ms
    }
}

impl GroupBoard {
    /// The groups at the end of the last round.
    pub fn snapshot(&self) -> GroupsSnapshot {
        GroupsSnapshot { shown: self.inner.shown.lock().clone() }
    }

    /// All groups summed up; `None` before the first round ended.
    pub fn summary(&self) -> Option<GroupsSummary> {
        let shown = self.inner.shown.lock().clone();
        shown.round_ms?;
        let at = self.inner.checkpointed_ms.load(Ordering::Relaxed);
        let age = (at >= 0).then(|| clock::now_ms().saturating_sub(at));
        let damaged = self.inner.damaged_checkpoints.load(Ordering::Relaxed);
        Some(GroupsSummary { checkpoint_age_ms: age, damaged_checkpoints: damaged, ..shown.summary.clone() })
    }

    /// Notes that every checkpoint there was to write is durable.
    pub fn checkpointed(&self) {
        self.inner.checkpointed_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// Notes how many records of the checkpoints topic can't be read; returns whether more than before.
    pub fn checkpoints_damaged(&self, records: u64) -> bool {
        self.inner.damaged_checkpoints.swap(records, Ordering::Relaxed) < records
    }

    /// Replaces everything by what a round found.
    pub fn replace(&self, mut groups: Vec<GroupStatus>) {
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        let summary = summarize(&groups);
        let mut room = MOST_PARTITIONS;
        let all = groups.len();
        groups.retain(|status| match room.checked_sub(status.partitions.len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        });
        let left_out = all - groups.len();
        let shown = Shown { groups, left_out, summary, round_ms: Some(clock::now_ms()) };
        *self.inner.shown.lock() = Arc::new(shown);
    }
}

fn summarize(groups: &[GroupStatus]) -> GroupsSummary {
    let mut summary = GroupsSummary::default();
    for status in groups {
        let translated = status.partitions.iter().filter(|partition| partition.translated.is_some()).count();
        summary.groups += u64::from(translated > 0);
        summary.partitions += translated as u64;
        summary.refused += u64::from(status.refused.is_some());
        let again = status.partitions.iter().filter_map(|partition| partition.redelivery);
        summary.redelivery = again.fold(summary.redelivery, i64::saturating_add);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicPartition;
    use crate::model::groups::{GroupPartitionStatus, Worth};

    fn group(name: &str, partitions: usize, translated: Option<i64>) -> GroupStatus {
        let partition = |index: usize| GroupPartitionStatus {
            source: TopicPartition::new("t", index as i32),
            target: TopicPartition::new("A.t", index as i32),
            source_offset: Some(5),
            source_lag: None,
            translated,
            worth: Some(Worth::Exact),
            target_offset: None,
            target_lag: None,
            redelivery: Some(2),
            refused: None,
        };
        GroupStatus {
            group: name.to_owned(),
            source_state: "empty".to_owned(),
            target_state: "absent".to_owned(),
            partitions: (0..partitions).map(partition).collect(),
            last_sync_ms: None,
            refused: None,
        }
    }

    #[test]
    fn groups_are_found_by_name_and_summed_up() {
        let board = GroupBoard::default();
        assert!(board.summary().is_none());
        board.replace(vec![group("b", 3, Some(4)), group("a", 2, None)]);
        let shown = board.snapshot();
        assert_eq!(shown.group("b").map(|status| status.partitions.len()), Some(3));
        assert!(shown.group("c").is_none());
        let summary = board.summary().unwrap();
        assert_eq!((summary.groups, summary.partitions, summary.redelivery), (1, 3, 10));
        assert_eq!(summary.checkpoint_age_ms, None);
        board.checkpointed();
        assert!(board.summary().unwrap().checkpoint_age_ms.is_some());
        assert!(
            !board.checkpoints_damaged(0) && board.checkpoints_damaged(2) && !board.checkpoints_damaged(2)
        );
        assert_eq!(board.summary().unwrap().damaged_checkpoints, 2);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let board = GroupBoard::default();
        board.replace(vec![group("a", MOST_PARTITIONS, Some(1)), group("b", 1, Some(1))]);
        let shown = board.snapshot();
        assert_eq!((shown.groups().len(), shown.left_out()), (1, 1));
        assert_eq!(board.summary().unwrap().partitions, MOST_PARTITIONS as u64 + 1);
    }
}
