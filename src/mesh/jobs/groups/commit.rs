//! Carries out what was decided: bounds, plans made durable, commits, outcomes made durable.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::memory::SyncBook;
use super::work::{GroupWork, PartitionWork, refusal};
use crate::mesh::shared::FlowContext;
use crate::model::groups::{GroupRefusal, RefusalReason};
use crate::model::{Isolation, Side, TopicPartition};
use crate::offsets::sync::{SyncPair, within};
use crate::telemetry::clock;
use crate::wire::{CommitOutcome, GroupCommit, OffsetSpec, Wire, WireError};

/// How long a round waits for a partition between two leaders, which takes a second: its groups can have the next round,
/// the others must not wait for a leader that does not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// Start and end of a log.
type Bounds = Result<(i64, i64), WireError>;

/// Carries out the writes of these groups; returns how many offsets were committed.
///
/// What could not be written says so in its work.
pub(super) async fn carry_out(flow: &FlowContext, book: &mut SyncBook, works: &mut [GroupWork]) -> u64 {
    bound(flow, book, works).await;
    for work in works.iter() {
        for (partition, pair) in planned(work) {
            let memory = book.get(&work.group, &partition.source).plan(pair);
            book.set(&work.group, &partition.source, memory);
        }
    }
    // Before the commits: what a crash leaves behind then is known to be ours.
    if let Err(error) = book.save(flow).await {
        let detail = format!("what is about to be committed can't be noted, so nothing is: {error}");
        for work in works.iter_mut() {
            for partition in work.partitions.iter_mut().filter(|partition| partition.write.is_some()) {
                partition.write = None;
                partition.refused =
                    Some(GroupRefusal { reason: RefusalReason::NotRemembered, detail: detail.clone() });
                let memory = book.get(&work.group, &partition.source).refused();
                book.set(&work.group, &partition.source, memory);
            }
        }
        return 0;
    }
    let (to_target, to_source) = (commits(works, Side::Target), commits(works, Side::Source));
    let (at_target, at_source) =
        tokio::join!(commit(flow.target.wire(), to_target), commit(flow.source.wire(), to_source));
    let mut committed = 0;
    for work in works.iter_mut() {
        let outcomes =
            [(Side::Target, at_target.get(&work.group)), (Side::Source, at_source.get(&work.group))];
        for (side, outcome) in outcomes {
            committed += settle(book, work, side, outcome);
        }
    }
    if let Err(error) = book.save(flow).await {
        // It is stored with the next round; until then a restart finds the plans.
        tracing::debug!(flow = %flow.spec.name, %error, "what was committed is not noted yet");
    }
    committed
}

fn planned(work: &GroupWork) -> impl Iterator<Item = (&PartitionWork, SyncPair)> {
    work.partitions.iter().filter_map(|partition| Some((partition, partition.write?.0)))
}

/// Keeps writes within the logs that they point into. What then changes nothing is none.
async fn bound(flow: &FlowContext, book: &mut SyncBook, works: &mut [GroupWork]) {
    let wanted = |side: Side| -> Vec<TopicPartition> {
        let of_side = works.iter().flat_map(planned).filter(|(_, pair)| pair.follower().0 == side);
        let distinct: BTreeSet<_> = of_side.map(|(partition, _)| partition.on(side).clone()).collect();
        distinct.into_iter().collect()
    };
    let (at_target, at_source) = (wanted(Side::Target), wanted(Side::Source));
    let (at_target, at_source) =
        tokio::join!(bounds(flow.target.wire(), at_target), bounds(flow.source.wire(), at_source));
    for work in works {
        for partition in &mut work.partitions {
            let Some((pair, refresh)) = partition.write.take() else { continue };
            let (side, _) = pair.follower();
            let bounds = if side == Side::Target { &at_target } else { &at_source };
            let (start, end) = match bounds.get(partition.on(side)) {
                Some(Ok(bounds)) => *bounds,
                Some(Err(error)) => {
                    partition.refused = Some(refusal(error));
                    continue;
                }
                None => continue,
            };
            let pair = within(pair, start, end);
            if refresh || partition.seen.at(side) != Some(pair.follower().1) {
                partition.write = Some((pair, refresh));
                continue;
            }
            let memory = book.get(&work.group, &partition.source).in_step(pair, clock::now_ms());
            book.set(&work.group, &partition.source, memory);
        }
    }
}

async fn bounds(wire: &Wire, partitions: Vec<TopicPartition>) -> HashMap<TopicPartition, Bounds> {
    if partitions.is_empty() {
        return HashMap::new();
    }
    let ask = async |spec: OffsetSpec| {
        let queries: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        wire.list_offsets_within(PATIENCE, &queries, Isolation::ReadUncommitted).await
    };
    let (starts, ends) = match tokio::try_join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest)) {
        Ok(answers) => answers,
        Err(error) => {
            return partitions.into_iter().map(|partition| (partition, Err(error.clone()))).collect();
        }
    };
    let mut starts: HashMap<_, _> = starts.into_iter().collect();
    let bounds = ends.into_iter().filter_map(|(partition, end)| {
        let start = starts.remove(&partition)?;
        let bounds = start.and_then(|start| Ok((start.offset, end?.offset)));
        Some((partition, bounds))
    });
    bounds.collect()
}

fn commits(works: &[GroupWork], side: Side) -> Vec<GroupCommit> {
    let of_group = works.iter().map(|work| {
        let offsets = planned(work).filter(|(_, pair)| pair.follower().0 == side);
        let offsets = offsets.map(|(partition, pair)| {
            let metadata = partition.metadata(pair.owner).to_owned();
            (partition.on(side).clone(), pair.follower().1, metadata)
        });
        GroupCommit { group: work.group.clone(), offsets: offsets.collect() }
    });
    of_group.filter(|commit| !commit.offsets.is_empty()).collect()
}

async fn commit(wire: &Wire, commits: Vec<GroupCommit>) -> HashMap<String, CommitOutcome> {
    if commits.is_empty() {
        return HashMap::new();
    }
    wire.commit_offsets(commits).await.into_iter().collect()
}

/// Remembers what became of a group's commits on one side; returns how many were made.
fn settle(book: &mut SyncBook, work: &mut GroupWork, side: Side, outcome: Option<&CommitOutcome>) -> u64 {
    let mut committed = 0;
    for partition in &mut work.partitions {
        let Some((pair, _)) = partition.write.filter(|(pair, _)| pair.follower().0 == side) else { continue };
        partition.write = None;
        let memory = book.get(&work.group, &partition.source);
        match answer(outcome, partition.on(side)) {
            Some(Ok(())) => {
                book.set(&work.group, &partition.source, memory.written(clock::now_ms()));
                let metadata = partition.metadata(pair.owner).to_owned();
                partition.committed(side, pair.follower().1, metadata);
                committed += 1;
            }
            Some(Err(error)) => {
                // One whose fate is not certain stays planned: the next reading finds out.
                if error.is_answer() && !error.is_retriable() && !error.is_outcome_unknown() {
                    book.set(&work.group, &partition.source, memory.refused());
                }
                partition.refused = Some(refusal(error));
            }
            None => {
                let detail = format!("the broker's answer leaves out {}", partition.on(side));
                partition.refused = Some(GroupRefusal { reason: RefusalReason::Unavailable, detail });
            }
        }
    }
    committed
}

fn answer<'a>(
    outcome: Option<&'a CommitOutcome>,
    partition: &TopicPartition,
) -> Option<Result<(), &'a WireError>> {
    match outcome? {
        Ok(answers) => {
            let (_, answer) = answers.iter().find(|(answered, _)| answered == partition)?;
            Some(answer.as_ref().copied())
        }
        Err(error) => Some(Err(error)),
    }
}
