//! Carries out what was decided: bounds, plans made durable, commits, outcomes made durable.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::refusal::refusal;
use crate::mesh::shared::FlowContext;
use crate::model::{Isolation, Side, TopicPartition};
use crate::offsets::groups::{GroupWork, SyncBook, WriteOutcome};
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
    keep_within_logs(flow, book, works).await;
    works.iter().for_each(|work| work.plan(book));
    // Before the commits: what a crash leaves behind then is known to be ours.
    if let Err(error) = save(flow, book).await {
        works.iter_mut().for_each(|work| work.give_up(book, &error.to_string()));
        return 0;
    }
    let (to_target, to_source) = (commits(works, Side::Target), commits(works, Side::Source));
    let (at_target, at_source) =
        tokio::join!(commit(flow.target.wire(), to_target), commit(flow.source.wire(), to_source));
    let mut committed = 0;
    for work in works.iter_mut() {
        for (side, answers) in [(Side::Target, &at_target), (Side::Source, &at_source)] {
            let answers = answers.get(&work.group);
            let outcome = |partition: &TopicPartition| outcome(answers, partition);
            committed += work.settle(book, side, outcome, clock::now_ms());
        }
    }
    if let Err(error) = save(flow, book).await {
        // It is stored with the next round; until then a restart finds the plans.
        tracing::debug!(target: crate::mesh::LOG, flow = %flow.spec.name, %error, "what was committed is not noted yet");
    }
    committed
}

/// Stores what changed. What fails stays to be stored.
async fn save(flow: &FlowContext, book: &mut SyncBook) -> Result<(), WireError> {
    let changes = book.changes(&flow.spec.name);
    if changes.is_empty() {
        return Ok(());
    }
    let records = changes.iter().map(|(key, sync)| flow.offsets_topic.group_record(key, sync.as_ref()));
    flow.offsets_topic.append(records.collect()).await?;
    let mut stored = flow.group_syncs.lock();
    for (key, sync) in changes {
        match sync {
            Some(sync) => drop(stored.insert(key, sync)),
            None => drop(stored.remove(&key)),
        }
    }
    book.stored();
    Ok(())
}

async fn keep_within_logs(flow: &FlowContext, book: &mut SyncBook, works: &mut [GroupWork]) {
    let wanted = |side: Side| -> Vec<TopicPartition> {
        let of_side = works.iter().flat_map(GroupWork::writes).filter(|(_, pair)| pair.follower().0 == side);
        let distinct: BTreeSet<_> = of_side.map(|(partition, _)| partition.on(side).clone()).collect();
        distinct.into_iter().collect()
    };
    let (at_target, at_source) = (wanted(Side::Target), wanted(Side::Source));
    let (at_target, at_source) =
        tokio::join!(bounds(flow.target.wire(), at_target), bounds(flow.source.wire(), at_source));
    let bounds = |side: Side, partition: &TopicPartition| {
        let bounds = if side == Side::Target { &at_target } else { &at_source };
        Some(bounds.get(partition)?.as_ref().copied().map_err(refusal))
    };
    for work in works {
        work.keep_within(book, bounds, clock::now_ms());
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
        let offsets = work.writes().filter(|(_, pair)| pair.follower().0 == side);
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

/// What became of the write of one partition.
fn outcome(outcome: Option<&CommitOutcome>, partition: &TopicPartition) -> WriteOutcome {
    match answer(outcome, partition) {
        Some(Ok(())) => WriteOutcome::Written,
        Some(Err(error)) => WriteOutcome::Refused {
            refusal: refusal(error),
            certain: error.is_answer() && !error.is_retriable() && !error.is_outcome_unknown(),
        },
        None => WriteOutcome::Unanswered,
    }
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
