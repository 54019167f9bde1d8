//! What source and sink know of a lane; it outlives the partition's actor.

use parking_lot::Mutex;

use super::sink::Writer;
use crate::engine::budget::Account;
use crate::engine::{Batch, LaneEvent, LaneId, LanePort, LaneSpec, SourceError};
use crate::model::Generation;

/// A lane.
///
/// `telling` is held while an event is decided on and told, so that events leave in order and none of an older
/// generation leaves after the lane was opened under a newer one. `state` is never held while telling.
pub(super) struct Lane {
    pub(super) id: LaneId,
    /// The lane's part of the flow's account.
    pub(super) account: Account,
    /// The sink's side.
    pub(super) writer: Writer,
    telling: Mutex<()>,
    state: Mutex<LaneState>,
}

struct LaneState {
    generation: Generation,
    port: LanePort,
    open: bool,
    /// Counts fetches; what belongs to an older one is dropped.
    fetch: u64,
}

impl Lane {
    /// A lane as it is opened first.
    pub(super) fn new(spec: &LaneSpec, account: Account) -> Self {
        Self {
            id: spec.source.clone(),
            account,
            writer: Writer::default(),
            telling: Mutex::new(()),
            state: Mutex::new(LaneState {
                generation: spec.generation,
                port: spec.port.clone(),
                open: true,
                fetch: 0,
            }),
        }
    }

    /// Gives the lane to a newer generation: from here on the older one is told nothing.
    pub(super) fn take_over(&self, spec: LaneSpec) {
        let _telling = self.telling.lock();
        let mut state = self.state.lock();
        state.generation = spec.generation;
        state.port = spec.port;
        state.open = true;
        state.fetch += 1;
    }

    /// Whether this generation holds the lane.
    pub(super) fn is_held_by(&self, generation: Generation) -> bool {
        let state = self.state.lock();
        state.open && state.generation == generation
    }

    /// Whether this fetch is the current one.
    pub(super) fn is_fetching(&self, fetch: u64) -> bool {
        let state = self.state.lock();
        state.open && state.fetch == fetch
    }

    /// Ends the current fetch and returns the number of the next; `None` for an older generation.
    pub(super) fn next_fetch(&self, generation: Generation) -> Option<u64> {
        let _telling = self.telling.lock();
        let mut state = self.state.lock();
        if !state.open || state.generation != generation {
            return None;
        }
        state.fetch += 1;
        Some(state.fetch)
    }

    /// Marks the lane closed.
    pub(super) fn close(&self, generation: Generation) {
        let _telling = self.telling.lock();
        let mut state = self.state.lock();
        if state.generation == generation {
            state.open = false;
            state.fetch += 1;
        }
    }

    /// Hands a fetched batch to the generation that asked for it; dropped when that fetch has ended.
    pub(super) fn fetched(&self, fetch: u64, batch: Batch) {
        self.tell_if(|state| state.fetch == fetch, || Some(LaneEvent::Fetched(batch)));
    }

    /// Says that the source can't be read; the fetch ends.
    pub(super) fn source_failed(&self, fetch: u64, error: SourceError) {
        self.tell_if(|state| state.fetch == fetch, || Some(LaneEvent::SourceFailed(error)));
    }

    /// Tells the events that `decide` yields, in order, to the generation if it still holds the lane; they are
    /// decided on even if it does not. `decide` must not lock this lane.
    pub(super) fn tell(&self, generation: Generation, mut decide: impl FnMut() -> Option<LaneEvent>) {
        let _telling = self.telling.lock();
        while let Some(event) = decide() {
            self.pass(|state| state.generation == generation, event);
        }
    }

    /// The session has ended: what is in flight has an unknown outcome.
    pub(super) fn lost(&self, event: LaneEvent) {
        let _telling = self.telling.lock();
        self.writer.forget();
        self.pass(|_| true, event);
        self.state.lock().open = false;
    }

    fn tell_if(&self, to: impl Fn(&LaneState) -> bool, event: impl FnOnce() -> Option<LaneEvent>) {
        let _telling = self.telling.lock();
        if let Some(event) = event() {
            self.pass(to, event);
        }
    }

    fn pass(&self, to: impl Fn(&LaneState) -> bool, event: LaneEvent) {
        let told = {
            let state = self.state.lock();
            (state.open && to(&state)).then(|| (state.port.clone(), state.generation))
        };
        if let Some((port, generation)) = told {
            port(generation, event);
        }
    }
}
