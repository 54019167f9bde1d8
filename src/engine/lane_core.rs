//! What every engine's lane is made of: who holds it, which fetch is the current one, and how it tells.

#[cfg(test)]
mod tests;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{Batch, LaneEvent, LanePort, LaneSpec, SourceError};
use crate::model::{Event, Generation};

/// The part of a lane that is the same in every engine, and under the same lock what the engine adds.
///
/// `telling` is held while an event is decided on and told, so that events leave in order and none of an older
/// generation leaves after the lane was opened under a newer one. A port must therefore not call the session about its
/// lane. `state` is never held while telling: other threads look at it meanwhile.
pub(super) struct LaneCore<S = ()> {
    telling: Mutex<()>,
    state: Mutex<LaneState<S>>,
}

/// Who holds a lane.
pub(super) struct LaneState<S> {
    generation: Generation,
    port: LanePort,
    open: bool,
    /// Counts fetches; what belongs to an older one is dropped.
    fetch: u64,
    /// What the engine keeps.
    pub(super) engine: S,
}

impl<S> LaneCore<S> {
    /// A lane as it is opened first.
    pub(super) fn new(spec: &LaneSpec, engine: S) -> Self {
        let (generation, port) = (spec.generation, spec.port.clone());
        let state = LaneState { generation, port, open: true, fetch: 0, engine };
        Self { telling: Mutex::new(()), state: Mutex::new(state) }
    }

    /// Gives the lane to a newer generation, and lets the engine do its part: from here on the older generation is
    /// told nothing.
    pub(super) fn take_over(&self, spec: &LaneSpec, engine: impl FnOnce(&mut S)) {
        let _telling = self.telling.lock();
        let mut state = self.state.lock();
        state.generation = spec.generation;
        state.port = spec.port.clone();
        state.open = true;
        state.fetch += 1;
        engine(&mut state.engine);
    }

    /// Looks at the lane, and keeps it as it is meanwhile.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState<S>> {
        self.state.lock()
    }

    /// The generation that holds the lane, if one does.
    pub(super) fn holder(&self) -> Option<Generation> {
        let state = self.state.lock();
        state.open.then_some(state.generation)
    }

    /// Whether this generation holds the lane.
    pub(super) fn is_held_by(&self, generation: Generation) -> bool {
        self.holder() == Some(generation)
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
        if !state.is_held_by(generation) {
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
        self.tell_fetch(fetch, LaneEvent::Fetched(batch));
    }

    /// Says that the source can't be read; the fetch ends.
    pub(super) fn source_failed(&self, fetch: u64, error: SourceError) {
        self.tell_fetch(fetch, LaneEvent::SourceFailed(error));
    }

    fn tell_fetch(&self, fetch: u64, event: LaneEvent) {
        let _telling = self.telling.lock();
        self.pass(|state| state.fetch == fetch, event);
    }

    /// Reports something about a generation's records.
    pub(super) fn report(&self, generation: Generation, event: Event) {
        let _telling = self.telling.lock();
        self.pass(|state| state.generation == generation, LaneEvent::Report(event));
    }

    /// Tells the events that `decide` yields, in order, each to its generation if that still holds the lane; they are
    /// decided on even if it does not. `decide` must not tell anything itself.
    pub(super) fn tell(&self, mut decide: impl FnMut() -> Option<(Generation, LaneEvent)>) {
        let _telling = self.telling.lock();
        while let Some((generation, event)) = decide() {
            self.pass(|state| state.generation == generation, event);
        }
    }

    /// Closes the lane to whoever holds it, as the session or its writing side has ended. `forget` gives up what is
    /// in flight, whose outcome is unknown, and returns what is told.
    pub(super) fn lost(&self, forget: impl FnOnce() -> LaneEvent) {
        let _telling = self.telling.lock();
        let event = forget();
        let told = {
            let mut state = self.state.lock();
            std::mem::take(&mut state.open).then(|| (state.port.clone(), state.generation))
        };
        if let Some((port, generation)) = told {
            port(generation, event);
        }
    }

    /// Tells an event if the lane is open and `to` whom it is for. The caller holds `telling`.
    fn pass(&self, to: impl FnOnce(&LaneState<S>) -> bool, event: LaneEvent) {
        let told = {
            let state = self.state.lock();
            (state.open && to(&state)).then(|| (state.port.clone(), state.generation))
        };
        if let Some((port, generation)) = told {
            port(generation, event);
        }
    }
}

impl<S> LaneState<S> {
    /// The generation under which the lane was opened last.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether this generation holds the lane.
    pub(super) fn is_held_by(&self, generation: Generation) -> bool {
        self.open && self.generation == generation
    }
}

/// Resolves when `reached` holds; it is looked at now, and whenever `changed` is told.
pub(super) async fn until(changed: &Notify, mut reached: impl FnMut() -> bool) {
    loop {
        let told = changed.notified();
        tokio::pin!(told);
        // Registered before the look: what happens in between is not missed.
        told.as_mut().enable();
        if reached() {
            return;
        }
        told.await;
    }
}
