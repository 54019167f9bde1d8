//! The seam between the partitions and the clients that move their batches.
//!
//! A [`Session`] holds an engine's connections for one flow. It keeps a *lane* per partition, which outlives the
//! partition's actor: a restarted actor opens the lane again and learns what its predecessor's writes came to.
//! No client type crosses the seam: a [`Body`] is stored batches, or records in a form that only their engine knows.
//!
//! Both engines, `passthrough` and `records`, are built on what the seam has of a lane and of a session's end
//! (`lane_core`, `session_core`), and are started by it ([`start()`]).

mod body;
pub mod budget;
mod lane;
mod lane_core;
mod panic;
mod passthrough;
mod records;
mod session_core;
mod start;

pub use body::{Body, Records};
pub use lane::{
    Batch, EngineError, LaneEvent, LaneId, LaneOpened, LanePort, LaneSpec, SourceError, WriteError,
};
pub use session_core::OnLost;
pub use start::{ClusterEnd, Remembered, SessionSpec, start};

use futures::future::BoxFuture;
use std::time::Duration;

use crate::formats::ProducerState;
use crate::model::Generation;

/// The target of this room's log lines, for filters such as `mirrormesh::engine=debug`.
pub(crate) const LOG: &str = "mirrormesh::engine";

/// An engine's connections for one flow.
///
/// Every method returns without blocking the caller's thread. What happens on a lane is told to its
/// [`LanePort`], with the generation under which the lane was opened; a lane tells nothing of older generations.
pub trait Session: Send + Sync + 'static {
    /// Opens a lane, or takes it over under a new generation.
    ///
    /// Fetching under the older generation ends at once. The call waits until every write of older generations
    /// is answered, and then returns how far they got. Cancel safe: an abandoned call leaves the lane closed to
    /// the older generation and open to the next call.
    fn open(&self, spec: LaneSpec) -> BoxFuture<'_, Result<LaneOpened, EngineError>>;

    /// Starts to fetch at `offset`; batches arrive as [`LaneEvent::Fetched`] while the budget has room.
    /// `leader_epoch` is that of the last record mirrored (−1 when unknown): a fetch that finds the log
    /// truncated below it is told as [`SourceError::OutOfRange`] or [`SourceError::Truncated`].
    fn fetch(&self, lane: &LaneId, generation: Generation, offset: i64, leader_epoch: i32);

    /// Stops fetching; batches on their way are dropped. Fetching starts again with [`Session::fetch`].
    fn stop_fetch(&self, lane: &LaneId, generation: Generation);

    /// Appends a batch to the target partition, after those given before. Answered by [`LaneEvent::Acknowledged`]
    /// in order, or once by [`LaneEvent::WriteFailed`], after which later writes of this generation are refused
    /// silently until the lane is opened again.
    fn write(&self, lane: &LaneId, generation: Generation, batch: Batch);

    /// The idempotent producer under which everything acknowledged so far was written, where the engine chooses it:
    /// saved with the position, and given back in [`LaneSpec::producer`].
    fn producer(&self, lane: &LaneId) -> Option<ProducerState>;

    /// Closes a lane: nothing more is fetched, writes in flight are answered first.
    fn close(&self, lane: &LaneId, generation: Generation) -> BoxFuture<'_, ()>;

    /// Ends the session: waits until writes in flight are answered, at most `deadline`, then closes all
    /// connections. Lanes that are still open are told [`LaneEvent::SessionLost`]. When it returns, no request of
    /// the session can reach the target any more from this process.
    fn shutdown(&self, deadline: Duration) -> BoxFuture<'_, ()>;

    /// Tells the session what the target accepts on a topic, before lanes are opened on it and when it changes.
    fn set_target_limits(&self, remote_topic: &str, limits: TargetLimits);
}

/// What a target topic accepts; a batch that breaks it is refused before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLimits {
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
    /// Whether `cleanup.policy` contains `compact`: records need a key.
    pub compacted: bool,
    /// `message.timestamp.before.max.ms`, when it is limited.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`, when it is limited.
    pub timestamp_after_max_ms: Option<i64>,
    /// Whether `message.timestamp.type` is `LogAppendTime`.
    pub append_time: bool,
}

impl Default for TargetLimits {
    /// Kafka's defaults (4.x): 1 MiB and 12 bytes, an hour ahead, no limit back.
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            compacted: false,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: Some(3_600_000),
            append_time: false,
        }
    }
}
