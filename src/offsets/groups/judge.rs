//! What both sides say of a group, and what the rule says to that.

use std::collections::{BTreeMap, BTreeSet};

use super::{SideReading, SyncBook, TopicPairs, refusal};
use crate::model::groups::{Committed, GroupRefusal, GroupState};
use crate::model::{Side, TopicPartition};
use crate::offsets::sync::{SyncFacts, SyncPair, SyncStep, decide};
use crate::offsets::{OffsetMap, Translation};

/// A group within a round.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupWork {
    /// The group.
    pub group: String,
    /// Its state on the source; `None` if it is not there.
    pub source_state: Option<GroupState>,
    /// Its state on the target.
    pub target_state: Option<GroupState>,
    /// Its partitions that were committed on one of the sides, or are remembered.
    pub partitions: Vec<PartitionWork>,
    /// Why nothing can be done about the whole group.
    pub refused: Option<GroupRefusal>,
}

/// A partition of a group within a round.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionWork {
    /// The partition on the source.
    pub source: TopicPartition,
    /// The partition on the target.
    pub target: TopicPartition,
    /// What is committed on the source.
    pub source_commit: Option<Committed>,
    /// What is committed on the target.
    pub target_commit: Option<Committed>,
    /// What is mirrored next: source and target offset; `None` without an offset map.
    pub mirrored: Option<(i64, i64)>,
    /// What the rule was told.
    pub facts: SyncFacts,
    /// A write to be done, and whether it is done although it changes nothing.
    pub write: Option<(SyncPair, bool)>,
    /// Why the partition is left as it is, if it is.
    pub refused: Option<GroupRefusal>,
}

/// Where a partition's commits lie on the other side, by its offset map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPlaces {
    /// The source's commit on the target.
    pub forward: Translation,
    /// The target's commit on the source.
    pub backward: Translation,
    /// Whether the map has forgotten the place of the source's commit.
    pub forgotten: bool,
    /// What is mirrored next: source and target offset.
    pub mirrored: (i64, i64),
}

impl CommitPlaces {
    /// Asks a map for the places of what is committed on both sides.
    pub fn by_map(map: &OffsetMap, source: Option<i64>, target: Option<i64>) -> Self {
        Self {
            forward: source.map_or(Translation::Unknown, |offset| map.forward(offset)),
            backward: target.map_or(Translation::Unknown, |offset| map.backward(offset)),
            forgotten: source.is_some_and(|offset| map.has_forgotten(offset)),
            mirrored: (map.source_next(), map.target_next()),
        }
    }
}

/// Decides about groups; `places` asks the offset map of a source partition where its commits (source, target) lie, and
/// is `None` where there is no map yet.
pub struct Judge<'a, P> {
    /// The topics that the flow mirrors.
    pub topics: &'a TopicPairs,
    /// Asks a partition's map.
    pub places: P,
    /// Whether the mesh has the opposite flow.
    pub back: bool,
    /// Now, milliseconds since the epoch.
    pub now_ms: i64,
}

type Commit = Option<Result<Committed, GroupRefusal>>;

impl<P> Judge<'_, P>
where
    P: Fn(&TopicPartition, Option<i64>, Option<i64>) -> Option<CommitPlaces>,
{
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
        let (source_commits, target_commits) = match (source.offsets, target.offsets) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(refusal), _) | (_, Err(refusal)) => {
                work.refused = Some(refusal);
                return work;
            }
        };
        let mut at_source: BTreeMap<_, _> = source_commits
            .into_iter()
            .filter(|(partition, _)| self.topics.to_target(partition).is_some())
            .collect();
        let mut at_target: BTreeMap<_, _> = target_commits
            .into_iter()
            .filter_map(|(partition, commit)| Some((self.topics.to_source(&partition)?, commit)))
            .collect();
        let all: BTreeSet<TopicPartition> =
            at_source.keys().chain(at_target.keys()).chain(book.partitions(group)).cloned().collect();
        for partition in all {
            let Some(remote) = self.topics.to_target(&partition) else { continue };
            let (here, there) = (at_source.remove(&partition), at_target.remove(&partition));
            let judged = self.partition(&work, partition, remote, (here, there), book);
            work.partitions.push(judged);
        }
        work
    }

    fn partition(
        &self,
        group: &GroupWork,
        source: TopicPartition,
        target: TopicPartition,
        (here, there): (Commit, Commit),
        book: &mut SyncBook,
    ) -> PartitionWork {
        let mut refused = None;
        let mut known = |commit: Commit| match commit? {
            Ok(committed) => Some(committed),
            Err(refusal) => {
                refused = Some(refusal);
                None
            }
        };
        let (source_commit, target_commit) = (known(here), known(there));
        let (at_source, at_target) =
            (source_commit.as_ref().map(|c| c.offset), target_commit.as_ref().map(|c| c.offset));
        let places = (self.places)(&source, at_source, at_target);
        if places.is_none() && refused.is_none() {
            refused = Some(refusal::pending(&source));
        }
        let facts = SyncFacts {
            source: at_source,
            target: at_target,
            forward: places.map_or(Translation::Unknown, |places| places.forward),
            backward: places.map_or(Translation::Unknown, |places| places.backward),
            forgotten: places.is_some_and(|places| places.forgotten),
            back: self.back,
            source_free: is_free(group.source_state.as_ref()),
            target_free: is_free(group.target_state.as_ref()),
        };
        let mirrored = places.map(|places| places.mirrored);
        let mut work = PartitionWork {
            source,
            target,
            source_commit,
            target_commit,
            mirrored,
            facts,
            write: None,
            refused,
        };
        if work.refused.is_none() {
            let memory = book.get(&group.group, &work.source);
            let decision = decide(memory, &facts, self.now_ms);
            book.set(&group.group, &work.source, decision.memory);
            match decision.step {
                SyncStep::Keep => {}
                SyncStep::Write(pair) => work.write = Some((pair, false)),
                SyncStep::Refresh(pair) => work.write = Some((pair, true)),
                SyncStep::Leave(reason) => {
                    work.refused = Some(refusal::left(&work, reason, decision.memory));
                }
            }
        }
        work
    }
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
}

/// Whether a group may be written. Where the broker doesn't tell, the commit itself finds out.
fn is_free(state: Option<&GroupState>) -> bool {
    !state.is_some_and(GroupState::has_members)
}
