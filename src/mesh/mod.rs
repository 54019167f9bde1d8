//! The actors and their supervisor: a mesh that runs.
//!
//! ```text
//! MeshActor
//! ├── ClusterActor × cluster      keeps the catalogue fresh, reads heartbeats
//! └── FlowActor × flow            wants partitions, owns the engine session
//!     ├── PartitionActor × source partition
//!     ├── PositionStoreActor      one writer of positions and offset maps
//!     └── JobActor × job          consumer groups, trimming of offset maps, MirrorMaker 2's offset syncs,
//!                                 heartbeats, topic configurations
//! ```

mod actor;
mod cluster;
mod flow;
mod jobs;
mod partition;
mod position_store;
mod shared;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorRef};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::actor::{MeshActor, MeshMsg, MeshParts};
pub use self::shared::{FlowBoard, GroupBoard, GroupsSnapshot};
use self::shared::{MeshContext, supervise};
pub use self::view::{FlowEnds, OffsetsView};
use crate::config::Loaded;
use crate::engine::budget::Budget;
use crate::model::FlowName;
use crate::model::status::MeshStatus;
use crate::offsets::MapBudget;
use crate::store::ProcessIdentity;
use crate::telemetry::Telemetry;
use crate::topology::EngineKind;
use crate::topology::engine::choose;

/// The target of this room's log lines, for filters such as `mirrormesh::mesh=debug`.
pub(crate) const LOG: &str = "mirrormesh::mesh";

/// Tails read at once; each holds two reads of 4 MiB.
const TAILS_AT_ONCE: usize = 4;

/// Why a mesh does not start.
#[derive(Debug, Error)]
pub enum MeshError {
    /// A cluster's client settings can't be used.
    #[error("cluster {alias}: {detail}")]
    Cluster {
        /// The cluster.
        alias: String,
        /// What is wrong.
        detail: String,
    },
    /// A flow's patterns can't be used.
    #[error("flow {flow}: {detail}")]
    Flow {
        /// The flow.
        flow: String,
        /// What is wrong.
        detail: String,
    },
    /// The actor system refused.
    #[error("the mesh's actors do not start: {0}")]
    Actors(String),
}

/// How a mesh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Partitions whose last records were not acknowledged in time. Nothing is lost: the next start finds out
    /// what arrived.
    pub left_behind: usize,
}

/// A running mesh.
pub struct Mesh;

/// Holds a running mesh; dropping it without [`MeshHandle::shutdown`] kills the mesh.
pub struct MeshHandle {
    parts: Arc<MeshParts>,
    root: ActorRef<MeshMsg>,
    task: JoinHandle<()>,
}

impl Mesh {
    /// Starts all clusters and flows. Returns at once; whether they get on is told by [`MeshHandle::status`].
    ///
    /// # Errors
    /// Settings that no client takes. A cluster that is away is not an error.
    pub async fn start(
        loaded: &Loaded,
        process: ProcessIdentity,
        telemetry: Telemetry,
    ) -> Result<MeshHandle, MeshError> {
        let topology = &loaded.topology;
        let engines = topology.flows.values().map(|flow| choose(flow).engine);
        let records_flows = engines.filter(|engine| *engine == EngineKind::Records).count();
        let context = Arc::new(MeshContext {
            process,
            spec: topology.process.clone(),
            topology: Arc::new(topology.clone()),
            budget: Budget::divided(topology.process.memory_budget_bytes, records_flows),
            telemetry,
            restarts: Arc::new(Semaphore::new(supervise::RESTARTS_AT_ONCE)),
            tails: Arc::new(Semaphore::new(TAILS_AT_ONCE)),
            maps: MapBudget::new(
                usize::try_from(topology.process.offsets_memory_bytes).unwrap_or(usize::MAX),
            ),
            epoch: Instant::now(),
        });
        let parts = Arc::new(MeshParts::new(loaded, context)?);
        let (root, task) = MeshActor::spawn(None, MeshActor, parts.clone())
            .await
            .map_err(|error| MeshError::Actors(error.to_string()))?;
        let observed = parts.clone();
        parts.context.telemetry.metrics().observe(Arc::new(move || observed.status()));
        Ok(MeshHandle { parts, root, task })
    }
}

impl MeshHandle {
    /// The mesh at this moment; asks nobody.
    pub fn status(&self) -> MeshStatus {
        self.parts.status()
    }

    /// A function that tells the status, for whoever shows it.
    pub fn status_source(&self) -> Arc<dyn Fn() -> MeshStatus + Send + Sync> {
        let parts = self.parts.clone();
        Arc::new(move || parts.status())
    }

    /// What is known of offsets and groups, for whoever shows it.
    pub fn offsets_view(&self) -> Arc<dyn OffsetsView> {
        Arc::new(view::MeshView { parts: self.parts.clone() })
    }

    /// Pauses a flow: its partitions stop fetching, while it keeps its claim, its session and its positions. False
    /// when there is no such flow.
    pub fn pause(&self, flow: &FlowName) -> bool {
        self.set_paused(flow, true)
    }

    /// Resumes a flow; partitions that wait after a fault try again at once. False when there is no such flow.
    pub fn resume(&self, flow: &FlowName) -> bool {
        self.set_paused(flow, false)
    }

    fn set_paused(&self, flow: &FlowName, paused: bool) -> bool {
        let Some(context) = self.parts.flow(flow) else { return false };
        context.remember_paused(paused);
        // A root that has ended has no flows.
        self.root.cast(MeshMsg::Pause(flow.clone(), paused)).is_ok()
    }

    /// Stops fetching, waits for acknowledgements up to `shutdown.timeout`, writes final positions, and ends.
    pub async fn shutdown(self) -> ShutdownReport {
        self.parts.drain_started();
        let limit = self.parts.context.spec.shutdown_timeout;
        let reply = ractor::call_t!(self.root, MeshMsg::Drain, limit.as_millis() as u64 + 2_000);
        let left_behind = reply.unwrap_or_else(|_| self.parts.living_partitions());
        self.root.stop(None);
        // The root has nothing left to wait for.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.task).await;
        ShutdownReport { left_behind }
    }
}
