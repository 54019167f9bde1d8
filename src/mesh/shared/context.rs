//! What the whole process shares.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::engine::budget::Budget;
use crate::offsets::MapBudget;
use crate::store::ProcessIdentity;
use crate::telemetry::Telemetry;
use crate::topology::{ProcessSpec, Topology};

/// What the whole process shares.
pub(crate) struct MeshContext {
    /// Who this process is.
    pub process: ProcessIdentity,
    /// How it runs.
    pub spec: ProcessSpec,
    /// The whole mesh as configured.
    pub topology: Arc<Topology>,
    /// The byte budget of batches in flight.
    pub budget: Arc<Budget>,
    /// Logs, metrics, traces.
    pub telemetry: Telemetry,
    /// Restarts at once.
    pub restarts: Arc<Semaphore>,
    /// Tails read at once: each holds a few MiB.
    pub tails: Arc<Semaphore>,
    /// What the offset maps of all flows may hold in memory.
    pub maps: Arc<MapBudget>,
    /// Zero of the monotonic clock that deadlines use.
    pub epoch: Instant,
}
