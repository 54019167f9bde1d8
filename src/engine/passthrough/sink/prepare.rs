//! Finds out what a lane has to know before it sends: who leads its partition, and which producer it writes under.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::core::Core;
use super::fault::WriteFailure;
use super::outbox::Identify;
use super::writer::Task;
use crate::engine::passthrough::lane::Lane;
use crate::model::{FaultKind, TopicPartition};
use crate::wire::WireError;

/// First pause before something is tried again; Kafka's `retry.backoff.ms`.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause: a target that comes back is not kept waiting for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Lanes prepared in one go, with one question for their leaders.
const MOST_AT_ONCE: usize = 1_000;
/// Rounds at a time: one that waits for a dead broker does not keep the others waiting.
const ROUNDS: usize = 4;

/// The pause before a try, by how many came to nothing; with jitter, so that lanes don't come back all at once.
pub(super) fn pause(tries: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.8..=1.2))
}

/// Prepares lanes as they come.
pub(super) async fn run(core: Arc<Core>, mut lanes: UnboundedReceiver<Arc<Lane>>) {
    let rounds = Arc::new(Semaphore::new(ROUNDS));
    loop {
        let Ok(round) = rounds.clone().acquire_owned().await else { return };
        let mut some = Vec::new();
        if lanes.recv_many(&mut some, MOST_AT_ONCE).await == 0 {
            return;
        }
        let core_of_round = core.clone();
        core.spawn("prepare", async move {
            prepare(&core_of_round, some).await;
            drop(round);
        });
    }
}

async fn prepare(core: &Arc<Core>, lanes: Vec<Arc<Lane>>) {
    let mut tasks: Vec<(Arc<Lane>, Task)> = Vec::with_capacity(lanes.len());
    for lane in lanes {
        match lane.writer.task() {
            Some(task) => tasks.push((lane, task)),
            // What it needs has changed meanwhile.
            None => core.guide(&lane),
        }
    }
    let mut moved: Vec<&TopicPartition> =
        tasks.iter().filter(|(_, task)| task.preparation.moved).map(|(_, task)| &task.target).collect();
    moved.dedup_by(|a, b| a.topic == b.topic);
    for partition in moved {
        core.wire.forget_leader(&partition.topic);
    }
    let tasks = identify(core, tasks).await;
    let partitions: Vec<TopicPartition> = tasks.iter().map(|(_, task, _)| task.target.clone()).collect();
    if partitions.is_empty() {
        return;
    }
    match core.wire.learn_leaders(&partitions).await {
        Ok(leaders) => {
            for ((lane, task, session), (_, leader)) in tasks.into_iter().zip(leaders) {
                match leader {
                    Ok(leader) => {
                        lane.writer.prepared(task.opened, leader.broker, session);
                        settle(core, &lane);
                    }
                    Err(error) => failed(core, &lane, &task, &error),
                }
            }
        }
        Err(error) => tasks.iter().for_each(|(lane, task, _)| failed(core, lane, task, &error)),
    }
}

/// A lane with what it needs, and the session's own producer where that is part of it.
type Identified = (Arc<Lane>, Task, Option<(i64, i16)>);

/// Finds out the producers; returns the lanes for which that succeeded.
async fn identify(core: &Arc<Core>, tasks: Vec<(Arc<Lane>, Task)>) -> Vec<Identified> {
    let each = tasks.into_iter().map(|(lane, task)| async move {
        match task.preparation.producer {
            Identify::Settled => Some((lane, task, None)),
            Identify::Any { but } => match core.producer_ids.session(&core.wire, but).await {
                Ok(session) => Some((lane, task, Some(session))),
                Err(error) => {
                    failed(core, &lane, &task, &error);
                    None
                }
            },
            Identify::Check { id, epoch, next_sequence } => {
                match core.producer_ids.next_sequence(&task.target, (id, epoch)).await {
                    Ok(next) if next == next_sequence => Some((lane, task, None)),
                    Ok(_) => {
                        let cause = "a late request of an earlier process wrote there meanwhile";
                        give_up(core, &lane, &task, |place, offset| place.resolve(offset, cause));
                        None
                    }
                    Err(error) => {
                        failed(core, &lane, &task, &error);
                        None
                    }
                }
            }
        }
    });
    join_all(each).await.into_iter().flatten().collect()
}

/// Something could not be found out.
fn failed(core: &Arc<Core>, lane: &Arc<Lane>, task: &Task, error: &WireError) {
    let (flow, target) = (&core.flow, &task.target);
    tracing::debug!(target: crate::engine::LOG, %flow, %target, %error, tries = task.preparation.tries, "a partition can't be written yet");
    if error.is_unauthorized() {
        let text = error.to_string();
        return give_up(core, lane, task, |place, offset| {
            place.refused(FaultKind::TargetUnauthorized, offset, &text)
        });
    }
    lane.writer.unprepared(task.opened, error.is_unknown_topic(), &error.to_string());
    settle(core, lane);
}

fn give_up(
    core: &Arc<Core>,
    lane: &Arc<Lane>,
    task: &Task,
    failure: impl FnOnce(&super::fault::LanePlace, i64) -> WriteFailure,
) {
    lane.writer.undone(task.opened, failure);
    settle(core, lane);
}

fn settle(core: &Arc<Core>, lane: &Arc<Lane>) {
    core.tell(lane);
    core.guide(lane);
}
