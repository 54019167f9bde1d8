//! Writes batches: one sender per target broker, an idempotent producer per partition.
//!
//! A lane's [`Writer`] holds its `outbox`, the producer as a state machine. What the lane needs next decides where it
//! goes: to `prepare`, which finds out its leader and its producer, or into the queue of the leader's `sender`,
//! which takes a batch from each lane there for a request and brings back the answers. A lane that needs nothing is
//! nowhere, and costs nothing.

mod core;
mod fault;
mod outbox;
mod packing;
mod prepare;
mod producer_ids;
mod sender;
mod sequenced_batch;
mod topic;
mod verdict;
mod writer;

use std::sync::Arc;

use self::core::Core;
pub(super) use self::writer::Writer;
use super::Shared;
use super::lane::Lane;
use super::round_trip::RoundTrips;
use crate::engine::{Batch, TargetLimits};
use crate::formats::ProducerState;
use crate::model::{Codec, FlowName, Generation, TopicPartition};
use crate::wire::Wire;

/// What the sink side is made of.
pub(super) struct SinkSpec {
    /// The flow, for logs.
    pub(super) flow: FlowName,
    /// Client of the target.
    pub(super) wire: Wire,
    /// How batches are compressed whose own codec the target refuses.
    pub(super) codec: Codec,
    /// The shortest round trips.
    pub(super) round_trips: Arc<RoundTrips>,
}

/// The sink side of a session. Dropping it ends its tasks.
pub(super) struct Sink {
    core: Arc<Core>,
}

impl Sink {
    /// Starts it; connections are made when a lane writes. Call within a tokio runtime.
    pub(super) fn start(spec: SinkSpec, shared: Arc<Shared>) -> Self {
        Self { core: Core::start(spec, shared) }
    }

    /// Resolves when nothing of the lane is in flight any more. From the call on, batches that wait in the lane's
    /// queue unsent are dropped: their generation is over. Cancel safe.
    pub(super) async fn settled(&self, lane: &Arc<Lane>) {
        lane.writer.settle();
        self.core.tell(lane);
        lane.writer.settled().await;
    }

    /// Opens the lane's writer under a generation, with the producer it wrote under before, if one is known: where
    /// the target still knows that too, the lane goes on under it. Cancel safe: the lane then stays closed.
    ///
    /// What the target knows is asked for here, before anybody looks at the target's tail, and compared before the
    /// first write: what a dead process's request adds in between does not go unnoticed.
    pub(super) async fn open(
        &self,
        lane: &Arc<Lane>,
        generation: Generation,
        target: TopicPartition,
        producer: Option<ProducerState>,
    ) {
        let known = match lane.writer.producer().or(producer) {
            Some(producer) => self.core.producer_ids.known(&self.core.wire, &target, &producer).await,
            None => outbox::KnownProducer::Nobody,
        };
        let topic = self.core.topic(target.topic.as_str());
        lane.writer.open(generation, fault::LanePlace { source: lane.id.clone(), target }, topic, known);
    }

    /// Writes a batch after those before it.
    pub(super) fn write(&self, lane: &Arc<Lane>, generation: Generation, batch: Batch) {
        lane.writer.write(generation, batch);
        self.core.tell(lane);
        self.core.guide(lane);
    }

    /// The producer under which everything acknowledged so far was written.
    pub(super) fn producer(&self, lane: &Lane) -> Option<ProducerState> {
        lane.writer.producer()
    }

    /// What a target topic accepts.
    pub(super) fn set_limits(&self, remote_topic: &str, limits: TargetLimits) {
        self.core.set_limits(remote_topic, limits);
    }

    /// Resolves when nothing at all is queued or in flight.
    pub(super) async fn drained(&self) {
        for lane in self.core.lanes() {
            lane.writer.idle().await;
        }
    }

    /// Ends all senders and their connections.
    pub(super) async fn end(&self) {
        self.core.end().await;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.core.abort();
    }
}
