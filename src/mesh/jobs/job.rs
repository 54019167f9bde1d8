//! A job: rounds at an interval, run by an actor and shown on the flow's board.

use std::convert::Infallible;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::mesh::shared::{JobBoard, Tasks};
use crate::model::job::{JobState, RunsIn};
use crate::wire::WireError;

/// After a refusal: rights change by hand, so a minute is soon enough.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Stands for never: a clock can't count much further than a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Something that is done again and again.
pub(crate) trait Job: Send + 'static {
    /// How `/status` and failures name it.
    const NAME: &'static str;
    /// Which of several processes that share the flow runs it.
    const RUNS_IN: RunsIn;

    /// From the start of one round to the start of the next; more than zero.
    fn interval(&self) -> Duration;

    /// From the start of the first life to the first round.
    fn first_after(&self) -> Duration {
        self.interval()
    }

    /// Does it once. The future is dropped where it stands when the flow stops.
    fn run(&mut self) -> impl Future<Output = Round> + Send;
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// When the next one starts.
    pub next: Next,
    /// How the job is now.
    pub state: JobState,
    /// Why, when it isn't fine.
    pub reason: Option<String>,
}

/// When the next round starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// One interval after this one started; at once if this one took longer.
    OnTime,
    /// This long after this one ended.
    After(Duration),
}

impl Round {
    /// A round that did what there was to do.
    pub(crate) fn done() -> Self {
        Self { next: Next::OnTime, state: JobState::Fine, reason: None }
    }

    /// A round with this outcome: the next one is on time, unless a cluster refused this one.
    pub(crate) fn of(outcome: &Result<(), WireError>) -> Self {
        match outcome {
            Ok(()) => Self::done(),
            Err(error) if error.is_unauthorized() => Self {
                next: Next::After(AFTER_REFUSAL),
                state: JobState::Refused,
                reason: Some(error.to_string()),
            },
            Err(error) => Self::failing(error),
        }
    }

    /// A round that did not get done; the next one is on time.
    pub(crate) fn failing(why: &impl ToString) -> Self {
        Self { next: Next::OnTime, state: JobState::Failing, reason: Some(why.to_string()) }
    }
}

/// What a cluster refuses: told once, until it is granted.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    told: bool,
}

impl Refusal {
    /// The refusal that is to be told, if this outcome is one and it was not told since the last success.
    ///
    /// Other failures change nothing: a cluster that is away has taken nothing back.
    pub(crate) fn untold<'a, T>(&mut self, outcome: &'a Result<T, WireError>) -> Option<&'a WireError> {
        match outcome {
            Ok(_) => {
                self.told = false;
                None
            }
            Err(error) => {
                (error.is_unauthorized() && !std::mem::replace(&mut self.told, true)).then_some(error)
            }
        }
    }
}

/// Starts an actor that runs the rounds, never two at once, and shows them on the board. To stop it ends the round under
/// way; a panic in one is the actor's failure.
///
/// # Errors
/// The supervisor is gone.
pub(crate) async fn start<J: Job>(
    job: J,
    board: JobBoard,
    supervisor: ActorCell,
) -> Result<ActorCell, SpawnErr> {
    board.add(J::NAME, J::RUNS_IN, job.interval());
    let actor = JobActor { name: J::NAME, board: board.clone() };
    let (actor, _) = JobActor::spawn_linked(None, actor, repeat(job, board).boxed(), supervisor).await?;
    Ok(actor.get_cell())
}

async fn repeat<J: Job>(mut job: J, board: JobBoard) -> Infallible {
    let first = Instant::now() + job.first_after().min(LONGEST);
    let mut starts = interval_at(first, job.interval().min(LONGEST));
    starts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        starts.tick().await;
        let Round { next, state, reason } = job.run().await;
        board.ended(J::NAME, state, reason);
        match next {
            // A round that is due already must not keep its thread from others.
            Next::OnTime => tokio::task::yield_now().await,
            Next::After(pause) => starts.reset_after(pause),
        }
    }
}

/// Runs the rounds of a job until it is stopped.
struct JobActor {
    name: &'static str,
    board: JobBoard,
}

/// A round panicked.
struct Panicked(JoinError);

impl Actor for JobActor {
    type Msg = Panicked;
    type State = Tasks;
    type Arguments = BoxFuture<'static, Infallible>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        rounds: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut tasks = Tasks::default();
        tasks.spawn(rounds, move |ended| {
            let Err(panicked) = ended;
            // An actor that has stopped meanwhile needs no news.
            let _ = myself.cast(Panicked(panicked));
        });
        Ok(tasks)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        Panicked(panicked): Self::Msg,
        _tasks: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.board.ended(self.name, JobState::Restarting, Some(format!("failed: {panicked}")));
        Err(format!("{}: {panicked}", self.name).into())
    }
}

#[cfg(test)]
mod tests;
