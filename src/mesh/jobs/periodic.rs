//! What a flow does again and again: heartbeats, rounds over groups, and the like.

use std::convert::Infallible;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::mesh::shared::Tasks;
use crate::wire::WireError;

/// After a refusal: rights change by hand, so a minute is soon enough.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Stands for never: a clock can't count much further than a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Something that is done again and again.
pub trait Round: Send + 'static {
    /// How a failure names it.
    const NAME: &'static str;

    /// From the start of one round to the start of the next; more than zero.
    fn interval(&self) -> Duration;

    /// From the start of the first life to the first round.
    fn first_after(&self) -> Duration {
        self.interval()
    }

    /// Does it once. The future is dropped where it stands when the flow stops.
    fn run(&mut self) -> impl Future<Output = Next> + Send;
}

/// When the next round starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// One interval after this one started; at once if this one took longer.
    OnTime,
    /// This long after this one ended.
    After(Duration),
}

impl Next {
    /// After a round with this outcome: on time, unless a cluster refused it.
    pub fn of(outcome: &Result<(), WireError>) -> Self {
        match outcome {
            Err(error) if error.is_unauthorized() => Self::After(AFTER_REFUSAL),
            _ => Self::OnTime,
        }
    }
}

/// What a cluster refuses: told once, until it is granted.
#[derive(Debug, Default)]
pub struct Refusal {
    told: bool,
}

impl Refusal {
    /// The refusal that is to be told, if this outcome is one and it was not told since the last success.
    ///
    /// Other failures change nothing: a cluster that is away has taken nothing back.
    pub fn untold<'a, T>(&mut self, outcome: &'a Result<T, WireError>) -> Option<&'a WireError> {
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

/// Starts an actor that runs the rounds, never two at once. To stop it ends the round under way; a panic in one is
/// the actor's failure.
///
/// # Errors
/// The supervisor is gone.
pub async fn start<R: Round>(round: R, supervisor: ActorCell) -> Result<ActorCell, SpawnErr> {
    let actor = PeriodicActor { name: R::NAME };
    let (actor, _) = PeriodicActor::spawn_linked(None, actor, repeat(round).boxed(), supervisor).await?;
    Ok(actor.get_cell())
}

async fn repeat(mut round: impl Round) -> Infallible {
    let first = Instant::now() + round.first_after().min(LONGEST);
    let mut starts = interval_at(first, round.interval().min(LONGEST));
    starts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        starts.tick().await;
        match round.run().await {
            // A round that is due already must not keep its thread from others.
            Next::OnTime => tokio::task::yield_now().await,
            Next::After(pause) => starts.reset_after(pause),
        }
    }
}

/// Runs rounds until it is stopped.
struct PeriodicActor {
    name: &'static str,
}

/// A round panicked.
struct Panicked(JoinError);

impl Actor for PeriodicActor {
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
        Err(format!("{}: {panicked}", self.name).into())
    }
}

#[cfg(test)]
mod tests;
