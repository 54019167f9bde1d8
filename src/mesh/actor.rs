//! The root: starts clusters and flows, starts failed ones again, and drains them in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tracing::error;

use super::MeshError;
use super::cluster::ClusterActor;
use super::flow::{FlowActor, FlowArguments, FlowMsg};
use super::shared::supervise::{self, Backoff};
use super::shared::{FlowBoard, FlowContext, MeshContext, Tasks};
use crate::cluster::ClusterHandle;
use crate::config::Loaded;
use crate::model::status::{FlowState, MeshStatus};
use crate::model::{Alias, FlowName};
use crate::replicator::flow::FlowInput;
use crate::telemetry::{Restarted, clock};
use crate::topology::Selector;

/// How old a heartbeat may be and still be shown: a path that was cut is seen to age before it goes.
const HEARTBEAT_MEMORY: Duration = Duration::from_secs(24 * 3600);
/// How much later than its limit the answer of a drain may come: only a machine that is out of breath needs it.
const ANSWER: Duration = Duration::from_secs(1);

/// What the root is told.
pub(super) enum MeshMsg {
    /// Start a cluster's actor again.
    RespawnCluster(Alias),
    /// Start a flow's actor again.
    RespawnFlow(FlowName),
    /// Pause a flow, or resume it.
    Pause(FlowName, bool),
    /// Drain all flows; answers how many partitions could not finish.
    Drain(RpcReplyPort<usize>),
}

/// Everything that outlives the actors.
pub(super) struct MeshParts {
    /// What the process shares.
    pub context: Arc<MeshContext>,
    mesh: String,
    started_ms: i64,
    draining: AtomicBool,
    clusters: BTreeMap<Alias, ClusterHandle>,
    flows: BTreeMap<FlowName, (Arc<FlowContext>, Arc<Selector>)>,
}

impl MeshParts {
    /// Makes handles and contexts from the configuration; nothing is asked yet.
    pub(super) fn new(loaded: &Loaded, context: Arc<MeshContext>) -> Result<Self, MeshError> {
        let topology = &loaded.topology;
        let mut clusters = BTreeMap::new();
        for (alias, settings) in &loaded.clients {
            let handle = ClusterHandle::new(alias.clone(), settings.clone()).map_err(|error| {
                MeshError::Cluster { alias: alias.to_string(), detail: error.to_string() }
            })?;
            clusters.insert(alias.clone(), handle);
        }
        let mut flows = BTreeMap::new();
        for (name, spec) in &topology.flows {
            let failed = |detail: String| MeshError::Flow { flow: name.to_string(), detail };
            let cluster = |alias: &Alias| {
                clusters
                    .get(alias)
                    .cloned()
                    .ok_or_else(|| failed(format!("cluster {alias} is not configured")))
            };
            let selector = Selector::new(spec, topology).map_err(|error| failed(error.to_string()))?;
            let board = FlowBoard::new(name.clone(), spec.from.clone(), spec.to.clone());
            let flow =
                FlowContext::new(context.clone(), spec, cluster(&spec.from)?, cluster(&spec.to)?, board);
            flows.insert(name.clone(), (Arc::new(flow), Arc::new(selector)));
        }
        Ok(Self {
            context,
            mesh: topology.mesh.clone(),
            started_ms: clock::now_ms(),
            draining: AtomicBool::new(false),
            clusters,
            flows,
        })
    }

    /// The mesh at this moment.
    pub(super) fn status(&self) -> MeshStatus {
        MeshStatus {
            mesh: self.mesh.clone(),
            process: self.context.process.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            draining: self.draining.load(Ordering::Relaxed),
            in_flight_bytes: self.context.budget.in_flight_bytes(),
            budget_bytes: self.context.budget.total_bytes(),
            offset_maps_bytes: self.context.maps.used_bytes() as u64,
            offset_maps_limit_bytes: self.context.maps.most_bytes() as u64,
            clusters: self.clusters.values().map(ClusterHandle::status).collect(),
            flows: self.flows.values().map(|(flow, _)| flow.board.snapshot()).collect(),
        }
    }

    /// What the actors of a flow share.
    pub(super) fn flow(&self, name: &FlowName) -> Option<&Arc<FlowContext>> {
        self.flows.get(name).map(|(flow, _)| flow)
    }

    /// [`Self::flow`] of every flow, by name.
    pub(super) fn flows(&self) -> impl Iterator<Item = &Arc<FlowContext>> {
        self.flows.values().map(|(flow, _)| flow)
    }

    /// Notes that a drain was asked for.
    pub(super) fn drain_started(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Partitions that still run.
    pub(super) fn living_partitions(&self) -> usize {
        self.flows().map(|flow| flow.living_partitions()).sum()
    }
}

/// A child of the root. A cluster and a flow may have one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Child {
    Cluster(Alias),
    Flow(FlowName),
}

/// When a child was last started, and how long its next restart waits.
struct Restarts {
    started: Instant,
    backoff: Backoff,
}

/// The root of the tree.
pub(super) struct MeshActor;

/// State of the root.
pub(super) struct MeshRun {
    parts: Arc<MeshParts>,
    clusters: HashMap<ActorId, (Alias, ActorCell)>,
    flows: HashMap<ActorId, (FlowName, ActorRef<FlowMsg>)>,
    restarts: HashMap<Child, Restarts>,
    draining: bool,
    tasks: Tasks,
}

impl Actor for MeshActor {
    type Msg = MeshMsg;
    type State = MeshRun;
    type Arguments = Arc<MeshParts>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        parts: Arc<MeshParts>,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut run = MeshRun {
            parts: parts.clone(),
            clusters: HashMap::new(),
            flows: HashMap::new(),
            restarts: HashMap::new(),
            draining: false,
            tasks: Tasks::default(),
        };
        for alias in parts.clusters.keys() {
            run.start_cluster(&myself, alias).await?;
        }
        for name in parts.flows.keys() {
            run.start_flow(&myself, name).await?;
        }
        Ok(run)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MeshMsg::RespawnCluster(alias) => run.start_cluster(&myself, &alias).await?,
            MeshMsg::RespawnFlow(name) if !run.draining => run.start_flow(&myself, &name).await?,
            MeshMsg::RespawnFlow(_) => {}
            MeshMsg::Pause(name, paused) => {
                for (_, flow) in run.flows.values().filter(|(other, _)| *other == name) {
                    let input = if paused { FlowInput::Pause } else { FlowInput::Resume };
                    // One that fails just now remembers it in its next life.
                    let _ = flow.cast(FlowMsg::Happened(input));
                }
            }
            MeshMsg::Drain(reply) => {
                run.draining = true;
                let limit = run.parts.context.spec.shutdown_timeout;
                let flows: Vec<_> = run
                    .flows
                    .values()
                    .filter_map(|(name, flow)| Some((run.parts.flow(name)?.clone(), flow.clone())))
                    .collect();
                let clusters: Vec<_> = run.clusters.values().map(|(_, cluster)| cluster.clone()).collect();
                // Beside the mailbox, so that the ends of the children are still heard.
                let drain = async move {
                    let drains = flows.iter().map(|(context, flow)| async move {
                        // Its own deadlines end it within the limit.
                        let patience = (limit + ANSWER).as_millis() as u64;
                        let answer = ractor::call_t!(flow, FlowMsg::Drain, patience, limit);
                        answer.unwrap_or_else(|_| context.living_partitions())
                    });
                    let left_behind = futures::future::join_all(drains).await.into_iter().sum();
                    // Clusters last: drains use their connections.
                    for cluster in clusters {
                        cluster.stop(None);
                    }
                    let _ = reply.send(left_behind);
                };
                // Who asked sees by itself when no answer comes.
                run.tasks.spawn(drain, |_| {});
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((actor, failure)) = supervise::ended(event) else { return Ok(()) };
        let cluster = run.clusters.remove(&actor).map(|(alias, _)| alias);
        let flow = run.flows.remove(&actor).map(|(name, _)| name);
        let Some(failure) = failure else { return Ok(()) };
        if let Some(alias) = cluster {
            let pause = run.pause(Child::Cluster(alias.clone()));
            error!(target: crate::mesh::LOG, cluster = %alias, %failure, restart_in = ?pause, "cluster actor failed");
            run.parts.context.telemetry.metrics().cluster_restarted(&alias);
            myself.send_after(pause, || MeshMsg::RespawnCluster(alias));
        } else if let Some(name) = flow {
            let pause = run.pause(Child::Flow(name.clone()));
            error!(target: crate::mesh::LOG, flow = %name, %failure, restart_in = ?pause, "flow failed");
            if let Some((flow, _)) = run.parts.flows.get(&name) {
                flow.metrics.restarted(Restarted::Actor);
                let reason = format!("failed: {failure}; it is started again");
                flow.board.set_state(FlowState::Faulted, Some(reason));
            }
            myself.send_after(pause, || MeshMsg::RespawnFlow(name));
        }
        Ok(())
    }
}

impl MeshRun {
    /// How long to wait before a child that failed is started again.
    fn pause(&mut self, child: Child) -> Duration {
        let restarts = self.restarts.get_mut(&child);
        restarts.map_or(Duration::ZERO, |child| child.backoff.pause_after(child.started.elapsed()))
    }

    fn started(&mut self, child: Child) {
        let now = Instant::now();
        let fresh = || Restarts { started: now, backoff: Backoff::default() };
        self.restarts.entry(child).or_insert_with(fresh).started = now;
    }

    async fn start_cluster(
        &mut self,
        myself: &ActorRef<MeshMsg>,
        alias: &Alias,
    ) -> Result<(), ActorProcessingErr> {
        let Some(handle) = self.parts.clusters.get(alias).cloned() else { return Ok(()) };
        let interval = self.parts.context.spec.discovery_interval;
        let flows = self.parts.flows.values();
        let into = flows.filter(|(flow, _)| flow.spec.to == *alias);
        let separators: BTreeSet<_> = into.map(|(flow, _)| flow.spec.naming.separator.clone()).collect();
        let separators = separators.into_iter().collect();
        let actor = ClusterActor { handle, separators, interval, heartbeat_memory: HEARTBEAT_MEMORY };
        let (actor, _) = ClusterActor::spawn_linked(None, actor, (), myself.get_cell()).await?;
        self.clusters.insert(actor.get_id(), (alias.clone(), actor.get_cell()));
        self.started(Child::Cluster(alias.clone()));
        Ok(())
    }

    async fn start_flow(
        &mut self,
        myself: &ActorRef<MeshMsg>,
        name: &FlowName,
    ) -> Result<(), ActorProcessingErr> {
        let Some((flow, selector)) = self.parts.flows.get(name).cloned() else { return Ok(()) };
        let args = FlowArguments { flow, selector };
        let (actor, _) = FlowActor::spawn_linked(None, FlowActor, args, myself.get_cell()).await?;
        self.flows.insert(actor.get_id(), (name.clone(), actor));
        self.started(Child::Flow(name.clone()));
        Ok(())
    }
}
