//! Writes batches: one sender per target broker, an idempotent producer per partition.

use std::sync::Arc;

use super::Shared;
use super::lane::Lane;
use crate::batch::Codec;
use crate::engine::{Batch, TargetLimits};
use crate::formats::ProducerState;
use crate::model::{FlowName, Generation, TopicPartition};
use crate::wire::Wire;

/// What the sink side is made of.
pub(super) struct SinkSpec {
    /// The flow, for logs.
    pub(super) flow: FlowName,
    /// Client of the target.
    pub(super) wire: Wire,
    /// How batches are compressed whose own codec the target refuses.
    pub(super) codec: Codec,
}

/// The sink side of a session.
pub(super) struct Sink {}

/// The sink's side of a lane.
#[derive(Default)]
pub(super) struct Writer {}

impl Writer {
    /// The session has ended: what is in flight is forgotten, its permits are freed.
    pub(super) fn forget(&self) {}
}

impl Sink {
    /// Starts it; connections are made when a lane writes.
    pub(super) fn start(_spec: SinkSpec, _shared: Arc<Shared>) -> Self {
        Self {}
    }

    /// Resolves when nothing of the lane is in flight any more. From the call on, batches that wait in the lane's
    /// queue unsent are dropped: their generation is over. Cancel safe.
    pub(super) async fn settled(&self, _lane: &Arc<Lane>) {}

    /// Opens the lane's writer under a generation, with the producer it wrote under before, if one is known.
    pub(super) fn open(
        &self,
        _lane: &Arc<Lane>,
        _generation: Generation,
        _target: TopicPartition,
        _producer: Option<ProducerState>,
    ) {
    }

    /// Writes a batch after those before it.
    pub(super) fn write(&self, _lane: &Arc<Lane>, _generation: Generation, _batch: Batch) {}

    /// The producer under which everything acknowledged so far was written.
    pub(super) fn producer(&self, _lane: &Lane) -> Option<ProducerState> {
        None
    }

    /// What a target topic accepts.
    pub(super) fn set_limits(&self, _remote_topic: &str, _limits: TargetLimits) {}

    /// Resolves when nothing at all is queued or in flight.
    pub(super) async fn drained(&self) {}

    /// Ends all senders and their connections.
    pub(super) async fn end(&self) {}
}
