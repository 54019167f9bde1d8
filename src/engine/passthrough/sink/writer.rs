//! The sink's side of a lane: its outbox, and where that stands with those who serve it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::fault::{LanePlace, WriteFailure};
use super::outbox::{BatchAnswer, KnownProducer, Moment, Outbox, OutboxEvents, Outgoing, Preparation, Wants};
use super::sequenced_batch::GivenBatch;
use super::topic::Topic;
use crate::engine::lane_core::until;
use crate::engine::{Batch, WriteError};
use crate::formats::ProducerState;
use crate::model::{Generation, TopicPartition};
use crate::telemetry::clock;

/// The sink's side of a lane.
pub(in crate::engine::passthrough) struct Writer {
    state: Mutex<WriterState>,
    /// Told when nothing of the lane is on its way any more.
    settled: Notify,
}

struct WriterState {
    outbox: Outbox,
    generation: Generation,
    topic: Option<Arc<Topic>>,
    /// Counts how often it was opened: what was found out for an earlier time is void.
    opened: u64,
    /// The broker that leads the target partition.
    route: i32,
    /// Somebody prepares it.
    preparing: bool,
    /// It is in its sender's queue.
    queued: bool,
}

/// Where a lane has to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriterStep {
    /// Nowhere.
    Nothing,
    /// To be prepared, after a pause that grows with the tries.
    Prepare { tries: u32 },
    /// Into this broker's queue.
    Queue(i32),
}

/// What is to be prepared for which time that the lane was opened.
pub(super) struct Task {
    pub(super) opened: u64,
    pub(super) target: TopicPartition,
    pub(super) preparation: Preparation,
}

/// What a lane gives to a request.
pub(super) struct RequestPart {
    pub(super) outgoing: Outgoing,
    pub(super) target: TopicPartition,
    /// Why something was opened for it.
    pub(super) opened: Option<String>,
}

impl Default for Writer {
    fn default() -> Self {
        let state = WriterState {
            outbox: Outbox::new(),
            generation: Generation(0),
            topic: None,
            opened: 0,
            route: -1,
            preparing: false,
            queued: false,
        };
        Self { state: Mutex::new(state), settled: Notify::new() }
    }
}

impl Writer {
    /// The session has ended: what is in flight is forgotten, its permits are freed.
    pub(in crate::engine::passthrough) fn forget(&self) {
        let dropped = self.lock().outbox.forget();
        drop(dropped);
        self.settled.notify_waiters();
    }

    /// Opens it under a generation; an older one than it has is ignored.
    pub(super) fn open(
        &self,
        generation: Generation,
        place: LanePlace,
        topic: Arc<Topic>,
        known: KnownProducer,
    ) {
        let mut state = self.lock();
        if generation < state.generation {
            return;
        }
        state.generation = generation;
        state.topic = Some(topic);
        state.opened += 1;
        state.preparing = false;
        state.outbox.open(place, known);
    }

    /// Takes a batch of this generation; drops one of another.
    pub(super) fn write(&self, generation: Generation, batch: Batch) {
        let Batch { info, permit, body } = batch;
        let batches = body.into_batches();
        let mut state = self.lock();
        if generation != state.generation {
            drop(state);
            return;
        }
        let refused = match batches {
            Ok(batches) => state.outbox.write(GivenBatch::new(info, permit, batches)).err(),
            Err(foreign) => {
                state.outbox.write_nothing_more(WriteError::foreign(
                    "passthrough",
                    info.source_base,
                    foreign,
                ));
                None
            }
        };
        drop(state);
        // Its permit is freed outside the lock: that wakes others.
        drop(refused);
    }

    /// Ends the generation; what waits unsent is dropped.
    pub(super) fn settle(&self) {
        let dropped = self.lock().outbox.settle();
        drop(dropped);
    }

    /// Resolves when nothing is on its way.
    pub(super) async fn settled(&self) {
        self.until(Outbox::is_settled).await;
    }

    /// Resolves when nothing waits either.
    pub(super) async fn idle(&self) {
        self.until(Outbox::is_idle).await;
    }

    async fn until(&self, reached: impl Fn(&Outbox) -> bool) {
        until(&self.settled, || reached(&self.lock().outbox)).await;
    }

    /// The producer, and its sequence number after everything acknowledged.
    pub(super) fn producer(&self) -> Option<ProducerState> {
        self.lock().outbox.producer()
    }

    /// The generation it is open under.
    pub(super) fn generation(&self) -> Generation {
        self.lock().generation
    }

    /// Where it has to go now. Whoever is told takes it there.
    pub(super) fn step(&self) -> WriterStep {
        let mut state = self.lock();
        match state.outbox.wants() {
            Wants::Preparation if !state.preparing => {
                state.preparing = true;
                WriterStep::Prepare { tries: state.outbox.preparation().tries }
            }
            Wants::Sending if !state.queued => {
                state.queued = true;
                WriterStep::Queue(state.route)
            }
            Wants::Nothing | Wants::Preparation | Wants::Sending => WriterStep::Nothing,
        }
    }

    /// What is to be prepared; `None` when that is over.
    pub(super) fn task(&self) -> Option<Task> {
        let mut state = self.lock();
        if state.outbox.wants() != Wants::Preparation {
            state.preparing = false;
            return None;
        }
        Some(Task {
            opened: state.opened,
            target: state.outbox.place().target.clone(),
            preparation: state.outbox.preparation(),
        })
    }

    /// A preparation succeeded: the partition is led by `leader`.
    pub(super) fn prepared(&self, opened: u64, leader: i32, session: Option<(i64, i16)>) {
        if let Some(mut state) = self.preparing(opened) {
            state.route = leader;
            state.outbox.prepared(session);
        }
    }

    /// A preparation failed, for now.
    pub(super) fn unprepared(&self, opened: u64, missing: bool, cause: &str) {
        if let Some(mut state) = self.preparing(opened) {
            state.outbox.unprepared(missing, cause, moment());
        }
    }

    /// A preparation failed for good; what is told is made with the place and the source offset.
    pub(super) fn undone(&self, opened: u64, failure: impl FnOnce(&LanePlace, i64) -> WriteFailure) {
        if let Some(mut state) = self.preparing(opened) {
            let failure = failure(state.outbox.place(), state.outbox.first_open_offset());
            state.outbox.fail(failure);
        }
    }

    fn preparing(&self, opened: u64) -> Option<MutexGuard<'_, WriterState>> {
        let mut state = self.lock();
        (state.opened == opened).then(|| {
            state.preparing = false;
            state
        })
    }

    /// Its broker can't be reached: the leader is asked for again, after a pause.
    pub(super) fn unrouted(&self) {
        let mut state = self.lock();
        state.queued = false;
        state.outbox.unrouted();
    }

    /// What it has for a request over this connection; it is out of the queue.
    pub(super) fn take(&self, link: u64, merge: bool) -> Option<RequestPart> {
        let mut state = self.lock();
        state.queued = false;
        let topic = state.topic.clone()?;
        let outgoing = state.outbox.take(link, merge, &topic, moment().wall_ms)?;
        let target = state.outbox.place().target.clone();
        Some(RequestPart { outgoing, target, opened: state.outbox.take_opened() })
    }

    /// Takes the answer to what it gave.
    pub(super) fn answered(&self, serial: u64, answer: BatchAnswer) {
        let mut state = self.lock();
        let Some(topic) = state.topic.clone() else { return };
        let dropped = state.outbox.answered(serial, answer, moment(), &topic);
        drop(state);
        drop(dropped);
    }

    /// What is to be told next.
    pub(super) fn next_event(&self) -> Option<OutboxEvents> {
        self.lock().outbox.next_event()
    }

    /// Tells those who wait, if nothing is on its way.
    pub(super) fn tell_settled(&self) {
        if self.lock().outbox.is_settled() {
            self.settled.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock()
    }
}

/// Now, on both clocks.
fn moment() -> Moment {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    Moment { now: START.get_or_init(Instant::now).elapsed(), wall_ms: clock::now_ms() }
}
