//! What a session remembers of a lane; it outlives the partition's actor.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::acks::{AckFailure, SourceRuns};
use super::batch_ack::{BatchAck, Outcome};
use super::classify;
use super::sink::RecordsSink;
use crate::engine::budget::{Account, Permit};
use crate::engine::lane_core::LaneCore;
use crate::engine::session_core::SessionLane;
use crate::engine::{LaneEvent, LaneId, LaneOpened, LaneSpec, WriteError};
use crate::model::{BatchInfo, Generation, Segment, TopicPartition};

/// A lane.
pub(super) struct Lane {
    pub(super) id: LaneId,
    /// Who holds it, and its writes.
    pub(super) core: LaneCore<Writes>,
    pub(super) account: Account,
    /// Set as soon as a write of the current generation failed: the writer looks at it before every record.
    failed: AtomicBool,
    settled: Notify,
}

/// What was written and what is on its way.
pub(super) struct Writes {
    target: TopicPartition,
    sink: Arc<RecordsSink>,
    in_flight: VecDeque<Arc<BatchAck>>,
    acknowledged: Option<(i64, i64)>,
    /// A write had an unknown outcome: `acknowledged` says nothing until the lane is opened again.
    unknown: bool,
    failure: LaneFailure,
}

enum LaneFailure {
    None,
    /// To be told once the writes before it are answered.
    Pending(WriteError),
    /// The session tells it to everyone.
    Session,
    Told,
}

impl Lane {
    /// A lane as it is opened first.
    pub(super) fn new(spec: &LaneSpec, sink: Arc<RecordsSink>, account: Account) -> Self {
        let writes = Writes {
            target: spec.target.clone(),
            sink,
            in_flight: VecDeque::new(),
            acknowledged: None,
            unknown: false,
            failure: LaneFailure::None,
        };
        Self {
            id: spec.source.clone(),
            core: LaneCore::new(spec, writes),
            account,
            failed: AtomicBool::new(false),
            settled: Notify::new(),
        }
    }

    /// Gives the lane to a newer generation: from here on the older one is told nothing.
    pub(super) fn take_over(&self, spec: &LaneSpec) {
        self.core.take_over(spec, |writes| {
            writes.target = spec.target.clone();
            // Nothing more is written until the older writes are answered and the taker-over was told of it.
            writes.failure = LaneFailure::Told;
        });
    }

    /// Ends a take-over once nothing is in flight: says how far the older writes got. `None` when there still is
    /// something in flight, or when the lane has been taken over again.
    pub(super) fn try_settle_open(
        &self,
        generation: Generation,
        sink: &Arc<RecordsSink>,
    ) -> Option<LaneOpened> {
        let mut lane = self.core.lock();
        let current = lane.generation();
        let writes = &mut lane.engine;
        if current != generation || !writes.in_flight.is_empty() {
            return None;
        }
        writes.sink = sink.clone();
        writes.failure = LaneFailure::None;
        if std::mem::take(&mut writes.unknown) {
            writes.acknowledged = None;
        }
        self.failed.store(false, Ordering::Relaxed);
        Some(LaneOpened { acknowledged: writes.acknowledged })
    }

    /// Is told whenever something may have been settled.
    pub(super) fn settled(&self) -> &Notify {
        &self.settled
    }

    /// Whether nothing is in flight.
    pub(super) fn is_settled(&self) -> bool {
        self.core.lock().engine.in_flight.is_empty()
    }

    /// Where the lane writes to, and through which sink.
    pub(super) fn target(&self) -> (TopicPartition, Arc<RecordsSink>) {
        let writes = &self.core.lock().engine;
        (writes.target.clone(), writes.sink.clone())
    }

    /// Source offset up to which writes are acknowledged.
    pub(super) fn acknowledged_source(&self) -> Option<i64> {
        self.core.lock().engine.acknowledged.map(|(source_next, _)| source_next)
    }

    /// Enters a batch as in flight; `None` when its generation is old or a write before it failed.
    pub(super) fn begin_write(
        self: &Arc<Self>,
        generation: Generation,
        info: &BatchInfo,
        sources: SourceRuns,
        permit: Permit,
    ) -> Option<(Arc<BatchAck>, Arc<RecordsSink>)> {
        let mut lane = self.core.lock();
        let writable = lane.is_held_by(generation) && matches!(lane.engine.failure, LaneFailure::None);
        if !writable || self.has_failed() {
            return None;
        }
        let batch = Arc::new(BatchAck::new(self.clone(), generation, sources, info.source_next, permit));
        lane.engine.in_flight.push_back(batch.clone());
        Some((batch, lane.engine.sink.clone()))
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
        let mut lane = self.core.lock();
        self.stop_writes();
        if lane.generation() == generation && matches!(lane.engine.failure, LaneFailure::None) {
            lane.engine.failure = LaneFailure::Pending(error);
        }
    }

    /// [`Lane::refuse`], and tells at once when nothing is in flight.
    pub(super) fn fail_write(&self, generation: Generation, error: WriteError) {
        self.refuse(generation, error);
        self.settle();
    }

    /// Tells what can be told: batches that are complete, in order, and the failure after the last of them.
    pub(super) fn settle(&self) {
        self.core.tell(|| self.next_event());
        if self.is_settled() {
            self.settled.notify_waiters();
        }
    }

    fn next_event(&self) -> Option<(Generation, LaneEvent)> {
        let mut lane = self.core.lock();
        let current = lane.generation();
        let writes = &mut lane.engine;
        loop {
            let Some(front) = writes.in_flight.front() else {
                if !matches!(writes.failure, LaneFailure::Pending(_)) {
                    return None;
                }
                let LaneFailure::Pending(error) = std::mem::replace(&mut writes.failure, LaneFailure::Told)
                else {
                    return None;
                };
                return Some((current, LaneEvent::WriteFailed(error)));
            };
            let outcome = front.outcome();
            if matches!(outcome, Outcome::Open) {
                return None;
            }
            let generation = front.generation();
            writes.in_flight.pop_front();
            if let Some(event) = writes.finished(&self.id, generation == current, outcome) {
                return Some((generation, event));
            }
        }
    }
}

impl SessionLane for Lane {
    fn lost(&self, event: LaneEvent) {
        self.core.lost(|| {
            self.failed.store(true, Ordering::Relaxed);
            let writes = &mut self.core.lock().engine;
            writes.unknown |= !writes.in_flight.is_empty();
            writes.in_flight.drain(..).for_each(|batch| batch.forget());
            match std::mem::replace(&mut writes.failure, LaneFailure::Told) {
                LaneFailure::Pending(error) => LaneEvent::WriteFailed(error),
                LaneFailure::None | LaneFailure::Session | LaneFailure::Told => event,
            }
        });
        self.settled.notify_waiters();
    }
}

impl Writes {
    /// What the oldest batch in flight came to; `is_current` when it was written under the lane's generation.
    fn finished(&mut self, source: &LaneId, is_current: bool, outcome: Outcome) -> Option<LaneEvent> {
        let (source_next, segments, bytes) = match outcome {
            Outcome::Open | Outcome::Nothing => return None,
            Outcome::Failed { source_offset, failure } => {
                self.unknown = true;
                if is_current && matches!(self.failure, LaneFailure::None) {
                    self.failure = self.failure_of(source, source_offset, &failure);
                }
                return None;
            }
            // After a failure nothing certain can be said of what follows it.
            Outcome::Written { .. } if self.unknown => return None,
            Outcome::Written { source_next, segments, bytes } => (source_next, segments, bytes),
        };
        let target_next = segments.last().map(Segment::target_next);
        match (target_next, &mut self.acknowledged) {
            (Some(target_next), acknowledged) => {
                *acknowledged = Some((source_next, target_next));
                self.sink.accepted(self.target.topic.as_str());
            }
            (None, Some(acknowledged)) => acknowledged.0 = source_next,
            (None, None) => {}
        }
        Some(LaneEvent::Acknowledged { source_next, target_next, segments, bytes })
    }

    fn failure_of(&self, source: &LaneId, source_offset: i64, failure: &AckFailure) -> LaneFailure {
        match classify::write_failure(failure, source, &self.target, source_offset) {
            Some(error) => {
                self.sink.refused(self.target.topic.as_str(), &error);
                LaneFailure::Pending(error)
            }
            None => LaneFailure::Session,
        }
    }
}
