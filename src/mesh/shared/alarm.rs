//! Waking an actor at its machine's next deadline.

use std::time::Duration;

use ractor::{ActorRef, Message, MessagingErr};
use tokio::task::JoinHandle;

/// A message that comes later.
type Timer<M> = JoinHandle<Result<(), MessagingErr<M>>>;

/// The one timer of an actor; none while its machine has no deadline. It ends with its owner.
#[derive(Debug)]
pub(crate) struct Alarm<M: Message> {
    set: Option<(Duration, Timer<M>)>,
}

impl<M: Message> Default for Alarm<M> {
    fn default() -> Self {
        Self { set: None }
    }
}

impl<M: Message> Alarm<M> {
    /// Sends `message` at `wanted`, on the clock of `now`. One that is due earlier stays: it comes too early and is set
    /// anew.
    pub(crate) fn set(
        &mut self,
        myself: &ActorRef<M>,
        wanted: Option<Duration>,
        now: Duration,
        message: fn() -> M,
    ) {
        match (&self.set, wanted) {
            (Some((set, _)), Some(wanted)) if *set <= wanted => return,
            (None, None) => return,
            _ => {}
        }
        self.stop();
        self.set = wanted.map(|at| (at, myself.send_after(at.saturating_sub(now), message)));
    }

    /// Notes that the message came.
    pub(crate) fn rang(&mut self) {
        self.set = None;
    }

    fn stop(&mut self) {
        if let Some((_, timer)) = self.set.take() {
            timer.abort();
        }
    }
}

impl<M: Message> Drop for Alarm<M> {
    fn drop(&mut self) {
        self.stop();
    }
}
