//! What a session remembers of a lane; it outlives the partition's actor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::acks::{AckFailure, SourceRuns};
use super::batch_ack::{BatchAck, Outcome};
use super::classify;
use super::sink::Sink;
use crate::engine::budget::{Account, Permit};
use crate::engine::{Batch, LaneEvent, LaneId, LaneOpened, LanePort, LaneSpec, SourceError, WriteError};
use crate::model::{BatchInfo, Event, Generation, Segment, TopicPartition};

/// A lane.
///
/// `telling` is held while an event is decided on and told, so that events leave in order and none of an older
/// generation leaves after the lane was opened under a newer one. `state` is never held while telling: a port may
/// call the session.
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) account: Account,
    telling: Mutex<()>,
    state: Mutex<LaneState>,
    /// Set as soon as a write of the current generation failed: the writer looks at it before every record.
    failed: AtomicBool,
    settled: Notify,
}

struct LaneState {
    generation: Generation,
    target: TopicPartition,
    port: LanePort,
    sink: Arc<Sink>,
    open: bool,
    /// Counts fetches; what belongs to an older one is dropped.
    fetch: u64,
    in_flight: VecDeque<Arc<BatchAck>>,
    acknowledged: Option<(i64, i64)>,
    /// A write had an unknown outcome: `acknowledged` says nothing until the lane is opened again.
    unknown: bool,
    failure: Failure,
}

enum Failure {
    None,
    /// To be told once the writes before it are answered.
    Pending(WriteError),
    /// The session tells it to everyone.
    Session,
    Told,
}

impl Lane {
    /// A lane as it is opened first.
    pub(super) fn new(spec: LaneSpec, sink: Arc<Sink>, account: Account) -> Self {
        Self {
            id: spec.source,
            account,
            telling: Mutex::new(()),
            state: Mutex::new(LaneState {
                generation: spec.generation,
                target: spec.target,
                port: spec.port,
                sink,
                open: true,
                fetch: 0,
                in_flight: VecDeque::new(),
                acknowledged: None,
                unknown: false,
                failure: Failure::None,
            }),
            failed: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    /// Gives the lane to a newer generation: from here on the older one is told nothing.
    pub(super) fn take_over(&self, spec: LaneSpec) {
        let _telling = self.telling.lock();
        let mut state = self.state.lock();
        state.generation = spec.generation;
        state.target = spec.target;
        state.port = spec.port;
        state.open = true;
        state.fetch += 1;
        // Nothing more is written until the older writes are answered and the taker-over was told of it.
        state.failure = Failure::Told;
    }

    /// Ends a take-over once nothing is in flight: says how far the older writes got. `None` when there still is
    /// something in flight, or when the lane has been taken over again.
    pub(super) fn try_settle_open(&self, generation: Generation, sink: &Arc<Sink>) -> Option<LaneOpened> {
        let mut state = self.state.lock();
        if state.generation != generation || !state.in_flight.is_empty() {
            return None;
        }
        state.sink = sink.clone();
        state.failure = Failure::None;
        if std::mem::take(&mut state.unknown) {
            state.acknowledged = None;
        }
        self.failed.store(false, Ordering::Relaxed);
        Some(LaneOpened { acknowledged: state.acknowledged })
    }

    /// Resolves when something was settled after the call.
    pub(super) fn settled(&self) -> tokio::sync::futures::Notified<'_> {
        self.settled.notified()
    }

    /// Whether nothing is in flight.
    pub(super) fn is_settled(&self) -> bool {
        self.state.lock().in_flight.is_empty()
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

    /// Where the lane writes to, and through which sink.
    pub(super) fn target(&self) -> (TopicPartition, Arc<Sink>) {
        let state = self.state.lock();
        (state.target.clone(), state.sink.clone())
    }

    /// Source offset up to which writes are acknowledged.
    pub(super) fn acknowledged_source(&self) -> Option<i64> {
        self.state.lock().acknowledged.map(|(source_next, _)| source_next)
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

    /// Enters a batch as in flight; `None` when its generation is old or a write before it failed.
    pub(super) fn begin_write(
        self: &Arc<Self>,
        generation: Generation,
        info: &BatchInfo,
        sources: SourceRuns,
        permit: Permit,
    ) -> Option<(Arc<BatchAck>, Arc<Sink>)> {
        let mut state = self.state.lock();
        let writable = state.open && state.generation == generation && matches!(state.failure, Failure::None);
        if !writable || self.has_failed() {
            return None;
        }
        let batch = Arc::new(BatchAck::new(self.clone(), generation, sources, info.source_next, permit));
        state.in_flight.push_back(batch.clone());
        Some((batch, state.sink.clone()))
    }

    /// Whether a write of the current generation failed: what follows it must not be given to the client.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Gives nothing more to the client until the lane is opened again.
    pub(super) fn stop_writes(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Fails the generation's writes from here on; told when those before are answered.
    pub(super) fn refuse(&self, generation: Generation, error: WriteError) {
        let mut state = self.state.lock();
        self.stop_writes();
        if state.generation == generation && matches!(state.failure, Failure::None) {
            state.failure = Failure::Pending(error);
        }
    }

    /// [`Lane::refuse`], and tells at once when nothing is in flight.
    pub(super) fn fail_write(&self, generation: Generation, error: WriteError) {
        self.refuse(generation, error);
        self.settle();
    }

    /// Tells what can be told: batches that are complete, in order, and the failure after the last of them.
    pub(super) fn settle(&self) {
        let _telling = self.telling.lock();
        while let Some((port, generation, event)) = self.next_event() {
            port(generation, event);
        }
        if self.is_settled() {
            self.settled.notify_waiters();
        }
    }

    fn next_event(&self) -> Option<(LanePort, Generation, LaneEvent)> {
        let mut state = self.state.lock();
        loop {
            let Some(front) = state.in_flight.front() else {
                if !matches!(state.failure, Failure::Pending(_)) {
                    return None;
                }
                let Failure::Pending(error) = std::mem::replace(&mut state.failure, Failure::Told) else {
                    return None;
                };
                return state.open.then(|| state.tell(LaneEvent::WriteFailed(error)));
            };
            let outcome = front.outcome();
            if matches!(outcome, Outcome::Open) {
                return None;
            }
            let generation = front.generation();
            state.in_flight.pop_front();
            let event = self.finished(&mut state, generation, outcome);
            if let Some(event) = event
                && state.open
                && state.generation == generation
            {
                return Some(state.tell(event));
            }
        }
    }

    /// What the oldest batch in flight came to.
    fn finished(&self, state: &mut LaneState, generation: Generation, outcome: Outcome) -> Option<LaneEvent> {
        let (source_next, segments, bytes) = match outcome {
            Outcome::Open | Outcome::Nothing => return None,
            Outcome::Failed { source_offset, failure } => {
                state.unknown = true;
                if state.generation == generation && matches!(state.failure, Failure::None) {
                    state.failure = state.failure_of(&self.id, source_offset, &failure);
                }
                return None;
            }
            // After a failure nothing certain can be said of what follows it.
            Outcome::Written { .. } if state.unknown => return None,
            Outcome::Written { source_next, segments, bytes } => (source_next, segments, bytes),
        };
        let target_next = segments.last().map(Segment::target_next);
        match (target_next, &mut state.acknowledged) {
            (Some(target_next), acknowledged) => {
                *acknowledged = Some((source_next, target_next));
                state.sink.accepted(state.target.topic.as_str());
            }
            (None, Some(acknowledged)) => acknowledged.0 = source_next,
            (None, None) => {}
        }
        Some(LaneEvent::Acknowledged { source_next, target_next, segments, bytes })
    }

    /// Hands a fetched batch to the generation that asked for it; dropped when that fetch has ended.
    pub(super) fn fetched(&self, fetch: u64, batch: Batch) {
        self.tell_fetch(fetch, || LaneEvent::Fetched(batch));
    }

    /// Says that the source can't be read; the fetch ends.
    pub(super) fn source_failed(&self, fetch: u64, error: SourceError) {
        self.tell_fetch(fetch, || LaneEvent::SourceFailed(error));
    }

    fn tell_fetch(&self, fetch: u64, event: impl FnOnce() -> LaneEvent) {
        let _telling = self.telling.lock();
        let told = {
            let state = self.state.lock();
            (state.open && state.fetch == fetch).then(|| state.tell(event()))
        };
        if let Some((port, generation, event)) = told {
            port(generation, event);
        }
    }

    /// Reports something about the generation's records.
    pub(super) fn report(&self, generation: Generation, event: Event) {
        let _telling = self.telling.lock();
        let told = {
            let state = self.state.lock();
            (state.open && state.generation == generation).then(|| state.tell(LaneEvent::Report(event)))
        };
        if let Some((port, generation, event)) = told {
            port(generation, event);
        }
    }

    /// The session, or the lane's sink, has ended: what is in flight has an unknown outcome.
    pub(super) fn lost(&self, event: LaneEvent) {
        let _telling = self.telling.lock();
        self.failed.store(true, Ordering::Relaxed);
        let told = {
            let mut state = self.state.lock();
            state.unknown |= !state.in_flight.is_empty();
            state.in_flight.drain(..).for_each(|batch| batch.forget());
            let failure = std::mem::replace(&mut state.failure, Failure::Told);
            let event = match failure {
                Failure::Pending(error) => LaneEvent::WriteFailed(error),
                Failure::None | Failure::Session | Failure::Told => event,
            };
            std::mem::take(&mut state.open).then(|| state.tell(event))
        };
        if let Some((port, generation, event)) = told {
            port(generation, event);
        }
        self.settled.notify_waiters();
    }
}

impl LaneState {
    fn failure_of(&self, source: &LaneId, source_offset: i64, failure: &AckFailure) -> Failure {
        match classify::write_failure(failure, source, &self.target, source_offset) {
            Some(error) => {
                self.sink.refused(self.target.topic.as_str(), &error);
                Failure::Pending(error)
            }
            None => Failure::Session,
        }
    }

    fn tell(&self, event: LaneEvent) -> (LanePort, Generation, LaneEvent) {
        (self.port.clone(), self.generation, event)
    }
}
