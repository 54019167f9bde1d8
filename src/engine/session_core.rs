//! What every engine's session is made of: its lanes, and its end.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{EngineError, LaneEvent, LaneId};

/// Called once when a session ends by itself, with the reason. It must not block.
pub type OnLost = Box<dyn FnOnce(String) + Send>;

/// A lane of a session, as the session's end needs it.
pub(super) trait SessionLane {
    /// Closes the lane: what is in flight has an unknown outcome. Whoever holds it is told the event.
    fn lost(&self, event: LaneEvent);
}

/// The lanes of a session, and how it ends: once, for one reason, told to every lane.
pub(super) struct SessionCore<L> {
    lanes: Mutex<HashMap<LaneId, Arc<L>>>,
    ended: OnceLock<String>,
    /// Tells the one task that waits for the end.
    over: Notify,
    on_lost: Mutex<Option<OnLost>>,
}

impl<L: SessionLane> SessionCore<L> {
    /// A session without lanes.
    pub(super) fn new(on_lost: OnLost) -> Self {
        Self {
            lanes: Mutex::default(),
            ended: OnceLock::new(),
            over: Notify::new(),
            on_lost: Mutex::new(Some(on_lost)),
        }
    }

    /// The lane of a source partition.
    pub(super) fn lane(&self, id: &LaneId) -> Option<Arc<L>> {
        self.lanes.lock().get(id).cloned()
    }

    /// The lane of a source partition, made where there is none. Whoever opens it looks at [`SessionCore::check`]
    /// afterwards: an end that did not find the lane is seen there.
    pub(super) fn lane_or(&self, id: &LaneId, make: impl FnOnce() -> L) -> Arc<L> {
        self.lanes.lock().entry(id.clone()).or_insert_with(|| Arc::new(make())).clone()
    }

    /// All lanes.
    pub(super) fn lanes(&self) -> Vec<Arc<L>> {
        self.lanes.lock().values().cloned().collect()
    }

    /// Why the session has ended, if it has.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Fails once the session has ended.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.ended().map_or(Ok(()), |reason| Err(EngineError::SessionLost(reason.to_owned())))
    }

    /// Resolves when the session has ended. For one task only.
    pub(super) async fn over(&self) {
        while self.ended().is_none() {
            self.over.notified().await;
        }
    }

    /// The session has ended by itself: stops it, tells every lane, and whoever started it. Only the first end counts.
    pub(super) fn lose(&self, reason: String, stop: impl FnOnce()) {
        if self.end(reason.clone(), stop) {
            let on_lost = self.on_lost.lock().take();
            if let Some(on_lost) = on_lost {
                on_lost(reason);
            }
        }
    }

    /// Ends the session: `stop` has nothing more taken in, then every lane that is open is told. False when it had
    /// ended.
    pub(super) fn end(&self, reason: String, stop: impl FnOnce()) -> bool {
        if self.ended.set(reason.clone()).is_err() {
            return false;
        }
        self.over.notify_one();
        stop();
        for lane in self.lanes() {
            lane.lost(LaneEvent::SessionLost(reason.clone()));
        }
        true
    }

    /// Ends the session because it was asked to: waits until what it was given is answered, at most so long. Who was
    /// not answered by then learns it as a lost session, and looks at the target's tail.
    pub(super) async fn shut_down(
        &self,
        deadline: Duration,
        answered: impl Future<Output = ()>,
        stop: impl FnOnce(),
    ) {
        if self.ended().is_none() {
            // Out of time, the end below tells the rest.
            let _ = tokio::time::timeout(deadline, answered).await;
        }
        self.end("it was shut down".to_owned(), stop);
    }
}
