//! A group within a cycle: what is committed on both sides, what the rule says of it, and what came of that.

use std::collections::{BTreeMap, BTreeSet};

use super::memory::SyncBook;
use super::topics::TopicPairs;
use crate::model::groups::{GroupRefusal, RefusalReason};
use crate::model::{Side, TopicPartition};
use crate::offsets::Translation;
use crate::offsets::sync::{SyncFacts, SyncMemory, SyncPair, SyncStep, decide};
use crate::store::{GroupReading, MapBook, OffsetReading};
use crate::wire::{Committed, CommittedOffset, GroupState, WireError};

/// What was read of a group on one side.
#[derive(Debug)]
pub(super) struct SideReading {
    /// Its state; `None` if it is not there.
    pub state: Option<GroupState>,
    /// Its commits, or why they can't be had.
    pub offsets: Result<Vec<CommittedOffset>, WireError>,
}

/// A group within a cycle.
#[derive(Debug)]
pub(super) struct GroupWork {
    pub group: String,
    pub source_state: Option<GroupState>,
    pub target_state: Option<GroupState>,
    pub partitions: Vec<PartitionWork>,
    /// Why nothing can be done about the whole group.
    pub refused: Option<GroupRefusal>,
}

/// A partition of a group within a cycle.
#[derive(Debug)]
pub(super) struct PartitionWork {
    pub source: TopicPartition,
    pub target: TopicPartition,
    pub source_commit: Option<Committed>,
    pub target_commit: Option<Committed>,
    pub forward: Translation,
    /// What is mirrored next.
    pub mirrored: Option<(i64, i64)>,
    pub seen: SyncFacts,
    /// A write to be done, and whether it is done although it changes nothing.
    pub write: Option<(SyncPair, bool)>,
    pub refused: Option<GroupRefusal>,
}

impl PartitionWork {
    /// The metadata that travels along with a write.
    pub fn metadata(&self, owner: Side) -> &str {
        let commit = match owner {
            Side::Source => &self.source_commit,
            Side::Target => &self.target_commit,
        };
        commit.as_ref().map_or("", |committed| committed.metadata.as_str())
    }

    /// The partition on a side.
    pub fn on(&self, side: Side) -> &TopicPartition {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Notes what is committed on a side by now.
    pub fn committed(&mut self, side: Side, offset: i64, metadata: String) {
        let commit = Some(Committed { offset, leader_epoch: -1, metadata });
        match side {
            Side::Source => self.source_commit = commit,
            Side::Target => self.target_commit = commit,
        }
    }
}

/// Reads a group of the source with its offsets translated.
pub(super) fn reading(group: &str, side: &SideReading, topics: &TopicPairs, maps: &MapBook) -> GroupReading {
    let state = side.state.clone().unwrap_or(GroupState::Dead);
    let (offsets, failed) = match &side.offsets {
        Err(error) => (Vec::new(), Some(error.to_string())),
        Ok(offsets) => {
            let readings = offsets.iter().filter_map(|offset| {
                let committed = offset.committed.as_ref().ok()?.clone();
                let target = topics.to_target(&offset.partition)?;
                let translation = maps
                    .get(&offset.partition)
                    .map_or(Translation::Unknown, |map| map.lock().forward(committed.offset));
                Some(OffsetReading { source: offset.partition.clone(), target, committed, translation })
            });
            (readings.collect(), None)
        }
    };
    GroupReading { group: group.to_owned(), state, offsets, failed }
}

/// What both sides say of a group, and what the rule says to that.
pub(super) struct Judge<'a> {
    pub topics: &'a TopicPairs,
    pub maps: &'a MapBook,
    /// Whether the mesh has the opposite flow.
    pub back: bool,
    pub now_ms: i64,
}

impl Judge<'_> {
    /// Decides about every partition of a group. What is settled is remembered at once, plans are not.
    pub fn judge(
        &self,
        group: &str,
        source: SideReading,
        target: SideReading,
        book: &mut SyncBook,
    ) -> GroupWork {
        let mut work = GroupWork {
            group: group.to_owned(),
            source_state: source.state,
            target_state: target.state,
            partitions: Vec::new(),
            refused: None,
        };
        let (source_offsets, target_offsets) = match (source.offsets, target.offsets) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(error), _) | (_, Err(error)) => {
                work.refused = Some(refusal(&error));
                return work;
            }
        };
        let of_source =
            source_offsets.into_iter().filter(|offset| self.topics.to_target(&offset.partition).is_some());
        let mut at_source: BTreeMap<_, _> =
            of_source.map(|offset| (offset.partition, offset.committed)).collect();
        let mut at_target: BTreeMap<_, _> = target_offsets
            .into_iter()
            .filter_map(|offset| Some((self.topics.to_source(&offset.partition)?, offset.committed)))
            .collect();
        let all: BTreeSet<TopicPartition> =
            at_source.keys().chain(at_target.keys()).chain(book.partitions(group)).cloned().collect();
        for partition in all {
            let Some(remote) = self.topics.to_target(&partition) else { continue };
            let (here, there) = (at_source.remove(&partition), at_target.remove(&partition));
            work.judge_partition(self, partition, remote, here, there, book);
        }
        work
    }
}

impl GroupWork {
    fn judge_partition(
        &mut self,
        judge: &Judge<'_>,
        source: TopicPartition,
        target: TopicPartition,
        here: Option<Result<Committed, WireError>>,
        there: Option<Result<Committed, WireError>>,
        book: &mut SyncBook,
    ) {
        let mut failed = None;
        let mut known = |commit: Option<Result<Committed, WireError>>| match commit {
            Some(Err(error)) => {
                failed = Some(refusal(&error));
                None
            }
            Some(Ok(committed)) => Some(committed),
            None => None,
        };
        let (source_commit, target_commit) = (known(here), known(there));
        let (s, t) = (source_commit.as_ref().map(|c| c.offset), target_commit.as_ref().map(|c| c.offset));
        let map = judge.maps.get(&source);
        let map = map.as_ref().map(|map| map.lock());
        let translate = |offset: Option<i64>, back: bool| match (&map, offset) {
            (Some(map), Some(offset)) if back => map.backward(offset),
            (Some(map), Some(offset)) => map.forward(offset),
            _ => Translation::Unknown,
        };
        let seen = SyncFacts {
            source: s,
            target: t,
            forward: translate(s, false),
            backward: translate(t, true),
            forgotten: map.as_ref().zip(s).is_some_and(|(map, offset)| map.has_forgotten(offset)),
            back: judge.back,
            source_free: is_free(self.source_state.as_ref()),
            target_free: is_free(self.target_state.as_ref()),
        };
        let mirrored = map.as_ref().map(|map| (map.source_next(), map.target_next()));
        if map.is_none() && failed.is_none() {
            let detail = format!("{source} has not been looked at yet");
            failed = Some(GroupRefusal { reason: RefusalReason::Pending, detail });
        }
        drop(map);
        let mut partition = PartitionWork {
            source,
            target,
            source_commit,
            target_commit,
            forward: seen.forward,
            mirrored,
            seen,
            write: None,
            refused: failed,
        };
        let memory = book.get(&self.group, &partition.source);
        if partition.refused.is_none() {
            let decision = decide(memory, &seen, judge.now_ms);
            book.set(&self.group, &partition.source, decision.memory);
            match decision.step {
                SyncStep::Keep => {}
                SyncStep::Write(pair) => partition.write = Some((pair, false)),
                SyncStep::Refresh(pair) => partition.write = Some((pair, true)),
                SyncStep::Leave(reason) => partition.refused = Some(partition.left(reason, decision.memory)),
            }
        }
        self.partitions.push(partition);
    }
}

impl PartitionWork {
    fn left(&self, reason: RefusalReason, memory: SyncMemory) -> GroupRefusal {
        let (source, target) = (&self.source, &self.target);
        let offset = |offset: Option<i64>| offset.map_or("none".to_owned(), |offset| offset.to_string());
        let (at_source, at_target) = (offset(self.seen.source), offset(self.seen.target));
        let detail = match reason {
            RefusalReason::Active => format!(
                "the group has active members; {source} stays at {at_source} and {target} at {at_target} until they have left"
            ),
            RefusalReason::Conflict => {
                let before = memory.synced.map_or("they were never in step".to_owned(), |pair| {
                    format!("they were last in step at {} and {}", pair.source, pair.target)
                });
                format!(
                    "both {source} ({at_source}) and {target} ({at_target}) were committed, and not to the same place; {before}; \
                     both are left: delete the group's offsets on the side that is to follow"
                )
            }
            RefusalReason::TargetOwns => format!(
                "the group worked on {target} (committed {at_target}), and the mesh has no flow back; {source} stays at {at_source}"
            ),
            RefusalReason::SourceGone => format!(
                "the commit on {source} is gone, the one that it was translated to stays: {target} at {at_target}"
            ),
            RefusalReason::Unknown => format!(
                "{source} ({at_source}) and {target} ({at_target}): that part was mirrored before there was an offset map"
            ),
            _ => reason.as_str().to_owned(),
        };
        GroupRefusal { reason, detail }
    }
}

fn is_free(state: Option<&GroupState>) -> bool {
    // Where the broker doesn't tell, the commit itself finds out.
    !matches!(state, Some(GroupState::Active(_)))
}

/// What an error of a cluster means for a group.
pub(super) fn refusal(error: &WireError) -> GroupRefusal {
    let reason = if error.is_unauthorized() {
        RefusalReason::Unauthorized
    } else if error.is_unstable_offset() {
        RefusalReason::Unstable
    } else if error.is_unknown_member() {
        RefusalReason::Active
    } else if error.is_retriable() {
        RefusalReason::Unavailable
    } else {
        RefusalReason::Other
    };
    GroupRefusal { reason, detail: error.to_string() }
}
