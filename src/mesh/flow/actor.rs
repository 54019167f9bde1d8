//! The flow's actor: waits for its clusters, claims its positions, keeps a session, and wants partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::children::Children;
use super::context::FlowContext;
use super::heartbeat::HeartbeatActor;
use super::positions::{LoadError, Loaded};
use super::session;
use super::store::PositionStoreActor;
use super::topic_configs::TopicConfigActor;
use super::topics::Reconciliation;
use crate::engine::{EngineError, Session};
use crate::formats::Claim;
use crate::mesh::partition::PartitionMsg;
use crate::mesh::supervise::Backoff;
use crate::model::status::{ClusterState, FlowState};
use crate::model::{Event, Fault, Generation, TopicName, TopicPartition};
use crate::telemetry::Restarted;
use crate::topology::Selector;
use crate::topology::topic_config::ConfigRules;

/// Faulted topics, limits and loops are looked after this often.
const UPKEEP: Duration = Duration::from_secs(5);
/// A session that lived this long counts as a success.
const SESSION_SUCCESS: Duration = Duration::from_secs(60);

/// What a flow is told.
pub enum FlowMsg {
    /// A catalogue or the state of a cluster changed.
    ClusterChanged,
    /// Ends of source partitions are new.
    EndsChanged,
    /// Claim the flow (again).
    Claim,
    /// The claim was made and the positions were read, or not.
    Claimed(Box<Result<Loaded, LoadError>>),
    /// Build a session.
    StartSession,
    /// A session was lost.
    SessionLost(Generation, String),
    /// Remote topics were looked after.
    Reconciled(Box<Reconciliation>),
    /// Start a partition again.
    Respawn(TopicPartition),
    /// Start heartbeats and configuration sync again.
    SpawnHelpers,
    /// Time to look after what is faulted.
    Upkeep,
    /// Another process claimed the flow.
    OtherClaim(Claim),
    /// Finish what is in flight, save, stop; answers how many partitions could not.
    Drain(Duration, RpcReplyPort<usize>),
    /// The drain's time is over.
    DrainDeadline,
    /// Session and store are closed.
    Closed,
}

/// What a flow is made with.
pub struct FlowArguments {
    /// What its actors share.
    pub flow: Arc<FlowContext>,
    /// Its choice of topics.
    pub selector: Arc<Selector>,
}

/// One flow.
pub struct FlowActor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Claiming,
    Running,
    /// Given up for good: another process has it, or it closes a loop.
    Given,
    Draining,
    Closing,
}

/// State of a flow.
pub struct FlowRun {
    pub(super) flow: Arc<FlowContext>,
    pub(super) selector: Arc<Selector>,
    pub(super) phase: Phase,
    pub(super) children: Children,
    pub(super) reconciling: bool,
    pub(super) reconcile_again: bool,
    pub(super) ready: BTreeMap<TopicName, super::topics::ReadyTopic>,
    pub(super) topic_faults: BTreeMap<TopicName, Fault>,
    pub(super) left_out: BTreeMap<TopicName, String>,
    pub(super) blocked_before: Duration,
    session_generation: Generation,
    session_started: Instant,
    session_backoff: Backoff,
    claim_backoff: Backoff,
    helper_backoff: Backoff,
    store: Option<ActorId>,
    helpers: Vec<ActorCell>,
    watchers: Vec<JoinHandle<()>>,
    drained: Option<RpcReplyPort<usize>>,
    drain_until: Option<Instant>,
    left_behind: usize,
}

impl Actor for FlowActor {
    type Msg = FlowMsg;
    type State = FlowRun;
    type Arguments = FlowArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: FlowArguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let flow = args.flow;
        let blocked_before = flow.account.blocked_time();
        let choice = session::choose(&flow);
        flow.board.set_engine(choice.engine, choice.reason, Generation::default());
        flow.board.set_state(FlowState::Starting, None);
        let watchers = vec![
            watch(flow.source.watch(), &myself, || FlowMsg::ClusterChanged),
            watch(flow.target.watch(), &myself, || FlowMsg::ClusterChanged),
            watch(flow.source.ends(), &myself, || FlowMsg::EndsChanged),
        ];
        myself.cast(FlowMsg::ClusterChanged)?;
        myself.send_after(UPKEEP, || FlowMsg::Upkeep);
        Ok(FlowRun {
            flow,
            selector: args.selector,
            phase: Phase::Waiting,
            children: Children::default(),
            reconciling: false,
            reconcile_again: false,
            ready: BTreeMap::new(),
            topic_faults: BTreeMap::new(),
            left_out: BTreeMap::new(),
            blocked_before,
            session_generation: Generation::default(),
            session_started: Instant::now(),
            session_backoff: Backoff::default(),
            claim_backoff: Backoff::default(),
            helper_backoff: Backoff::default(),
            store: None,
            helpers: Vec::new(),
            watchers,
            drained: None,
            drain_until: None,
            left_behind: 0,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            FlowMsg::ClusterChanged => match run.phase {
                Phase::Waiting => run.try_claim(&myself),
                Phase::Running => {
                    run.show_clusters();
                    run.tell_moves();
                    run.reconcile(&myself);
                }
                _ => {}
            },
            FlowMsg::EndsChanged => run.tell_ends(),
            FlowMsg::Claim => {
                if run.phase == Phase::Waiting {
                    run.try_claim(&myself);
                }
            }
            FlowMsg::Claimed(outcome) => run.claimed(&myself, *outcome).await?,
            FlowMsg::StartSession => run.start_session(&myself),
            FlowMsg::SessionLost(generation, reason) => run.session_lost(&myself, generation, reason),
            FlowMsg::Reconciled(outcome) => run.reconciled(&myself, *outcome).await?,
            FlowMsg::Respawn(source) => {
                if run.phase == Phase::Running {
                    run.spawn(&myself, &source).await?;
                    run.tell_ends();
                }
            }
            FlowMsg::SpawnHelpers => run.spawn_helpers(&myself).await?,
            FlowMsg::Upkeep => {
                run.upkeep(&myself);
                myself.send_after(UPKEEP, || FlowMsg::Upkeep);
            }
            FlowMsg::OtherClaim(claim) => {
                let by =
                    format!("claimed by process {} (pid {} on {})", claim.process, claim.pid, claim.host);
                run.give_up(FlowState::Stopped, format!("{by}; this process left it alone"));
            }
            FlowMsg::Drain(limit, reply) => run.drain(&myself, limit, reply),
            FlowMsg::DrainDeadline => {
                if run.phase == Phase::Draining {
                    run.left_behind = run.children.alive().count();
                    warn!(
                        flow = %run.flow.spec.name, partitions = run.left_behind,
                        "drain out of time; the next start finds out what arrived"
                    );
                    for actor in run.children.alive() {
                        actor.stop(None);
                    }
                    run.close(&myself);
                }
            }
            FlowMsg::Closed => {
                run.flow.board.set_state(FlowState::Stopped, None);
                if let Some(reply) = run.drained.take() {
                    let _ = reply.send(run.left_behind);
                }
                myself.stop(None);
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
        let (actor, failure) = match event {
            SupervisionEvent::ActorTerminated(actor, ..) => (actor.get_id(), None),
            SupervisionEvent::ActorFailed(actor, failure) => (actor.get_id(), Some(failure)),
            _ => return Ok(()),
        };
        if run.store == Some(actor) && !matches!(run.phase, Phase::Closing | Phase::Given) {
            let why = failure.map_or_else(|| "it stopped".to_owned(), |failure| failure.to_string());
            return Err(format!("the position store of flow {} ended: {why}", run.flow.spec.name).into());
        }
        if let Some(source) = run.children.ended(actor) {
            run.partition_ended(&myself, source, failure);
        } else if let Some(failure) = failure {
            let pause = run.helper_backoff.next_pause();
            error!(flow = %run.flow.spec.name, %failure, restart_in = ?pause, "a helper of the flow failed");
            myself.send_after(pause, || FlowMsg::SpawnHelpers);
        }
        if run.phase == Phase::Draining && run.children.alive().next().is_none() {
            run.close(&myself);
        }
        Ok(())
    }
}

impl Drop for FlowRun {
    /// `post_stop` does not run after an error or a kill.
    fn drop(&mut self) {
        for watcher in &self.watchers {
            watcher.abort();
        }
        for (source, _) in self.children.iter_mut() {
            self.flow.source.forget(self.flow.spec.isolation, source);
        }
        *self.flow.store.lock() = None;
        // After a failure the next life of the flow builds its own session.
        if let Some(session) = self.flow.session.send_replace(None)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let limit = self.flow.mesh.spec.shutdown_timeout;
            runtime.spawn(async move { session.shutdown(limit).await });
        }
    }
}

/// Turns changes of a watched value into messages.
fn watch<T: Send + Sync + 'static>(
    mut changes: tokio::sync::watch::Receiver<T>,
    myself: &ActorRef<FlowMsg>,
    message: fn() -> FlowMsg,
) -> JoinHandle<()> {
    let myself = myself.clone();
    tokio::spawn(async move { while changes.changed().await.is_ok() && myself.cast(message()).is_ok() {} })
}

impl FlowRun {
    fn try_claim(&mut self, myself: &ActorRef<FlowMsg>) {
        for cluster in [&self.flow.source, &self.flow.target] {
            let view = cluster.watch().borrow().clone();
            if view.state != ClusterState::Reachable {
                let why = view.reason.unwrap_or_else(|| "no answer yet".to_owned());
                let reason = format!("waits for cluster {}: {why}", cluster.alias());
                self.flow.board.set_state(FlowState::Waiting, Some(reason));
                return;
            }
        }
        let id = |cluster: &crate::mesh::cluster::ClusterHandle| {
            cluster.catalogue().and_then(|c| c.cluster_id.clone())
        };
        if let (Some(source), Some(target)) = (id(&self.flow.source), id(&self.flow.target))
            && source == target
        {
            let reason = format!(
                "{} and {} are one cluster (id {source}); mirroring it into itself would never end",
                self.flow.spec.from, self.flow.spec.to
            );
            error!(flow = %self.flow.spec.name, reason, "flow refused");
            self.flow.board.set_state(FlowState::Faulted, Some(reason));
            self.phase = Phase::Given;
            return;
        }
        self.phase = Phase::Claiming;
        let (flow, myself) = (self.flow.clone(), myself.clone());
        tokio::spawn(async move {
            let outcome = flow.positions_topic.claim(&flow.mesh.process).await;
            let _ = myself.cast(FlowMsg::Claimed(Box::new(outcome)));
        });
    }

    async fn claimed(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        outcome: Result<Loaded, LoadError>,
    ) -> Result<(), ActorProcessingErr> {
        if self.phase != Phase::Claiming {
            return Ok(());
        }
        let loaded = match outcome {
            Ok(loaded) => loaded,
            Err(why) => {
                let (state, reason) = match why {
                    LoadError::Fault(fault) => (FlowState::Faulted, fault.to_string()),
                    LoadError::Wire(error) if error.is_unauthorized() => {
                        (FlowState::Faulted, error.to_string())
                    }
                    LoadError::Wire(error) => (FlowState::Waiting, error.to_string()),
                };
                let retry_in = self.claim_backoff.next_pause();
                warn!(flow = %self.flow.spec.name, reason, ?retry_in, "positions not read");
                self.flow.board.set_state(state, Some(reason));
                self.phase = Phase::Waiting;
                myself.send_after(retry_in, || FlowMsg::Claim);
                return Ok(());
            }
        };
        self.claim_backoff.reset();
        self.flow.book.replace(loaded.positions);
        let told = myself.clone();
        let store = PositionStoreActor {
            context: self.flow.clone(),
            claimed_at: loaded.claimed_at,
            on_other_claim: Box::new(move |claim| drop(told.cast(FlowMsg::OtherClaim(claim)))),
        };
        let (store, _) = PositionStoreActor::spawn_linked(None, store, (), myself.get_cell()).await?;
        self.store = Some(store.get_id());
        *self.flow.store.lock() = Some(store);
        self.phase = Phase::Running;
        self.flow.board.set_state(FlowState::Running, None);
        self.spawn_helpers(myself).await?;
        self.start_session(myself);
        self.reconcile(myself);
        Ok(())
    }

    /// Starts what is not there of heartbeats and configuration sync.
    async fn spawn_helpers(&mut self, myself: &ActorRef<FlowMsg>) -> Result<(), ActorProcessingErr> {
        for helper in self.helpers.drain(..) {
            helper.stop(None);
        }
        if self.phase != Phase::Running {
            return Ok(());
        }
        if self.flow.spec.heartbeats.enabled {
            let actor = HeartbeatActor { flow: self.flow.clone() };
            let (actor, _) = HeartbeatActor::spawn_linked(None, actor, (), myself.get_cell()).await?;
            self.helpers.push(actor.get_cell());
        }
        if self.flow.spec.topic_configs.enabled {
            let rules = Arc::new(ConfigRules::new(&self.flow.spec.topic_configs)?);
            let actor = TopicConfigActor { flow: self.flow.clone(), selector: self.selector.clone(), rules };
            let (actor, _) = TopicConfigActor::spawn_linked(None, actor, (), myself.get_cell()).await?;
            self.helpers.push(actor.get_cell());
        }
        Ok(())
    }

    fn start_session(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.phase != Phase::Running {
            return;
        }
        self.session_generation = self.session_generation.next();
        let expected = self.children.len().max(self.expected_partitions());
        match session::start(&self.flow, self.session_generation, myself, expected) {
            Ok(session) => {
                self.session_started = Instant::now();
                self.flow.session.send_replace(Some(session));
                let choice = session::choose(&self.flow);
                self.flow.board.set_engine(choice.engine, choice.reason, self.session_generation);
                self.flow.board.set_state(FlowState::Running, None);
            }
            Err(failure) => self.session_refused(myself, &failure),
        }
    }

    fn session_refused(&mut self, myself: &ActorRef<FlowMsg>, failure: &EngineError) {
        let retry_in = self.session_backoff.next_pause();
        error!(flow = %self.flow.spec.name, %failure, ?retry_in, "engine session not started");
        self.flow.board.set_state(FlowState::Faulted, Some(failure.to_string()));
        myself.send_after(retry_in, || FlowMsg::StartSession);
    }

    fn session_lost(&mut self, myself: &ActorRef<FlowMsg>, generation: Generation, reason: String) {
        if generation != self.session_generation || self.phase != Phase::Running {
            return;
        }
        if self.session_started.elapsed() > SESSION_SUCCESS {
            self.session_backoff.reset();
        }
        self.flow.report(&Event::SessionLost { reason });
        self.flow.metrics.restarted(Restarted::Session);
        let lost = self.flow.session.send_replace(None);
        session::bury(&self.flow, lost, self.session_backoff.next_pause(), myself);
    }

    /// A cluster that went away is shown on the flow; its partitions wait by themselves.
    fn show_clusters(&self) {
        for cluster in [&self.flow.source, &self.flow.target] {
            let view = cluster.watch().borrow().clone();
            if view.state != ClusterState::Reachable {
                let why = view.reason.unwrap_or_default();
                let reason = format!("cluster {} is away: {why}", cluster.alias());
                return self.flow.board.set_state(FlowState::Waiting, Some(reason));
            }
        }
        if self.flow.board.state() == FlowState::Waiting {
            self.flow.board.set_state(FlowState::Running, None);
        }
    }

    fn partition_ended(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        source: TopicPartition,
        failure: Option<ActorProcessingErr>,
    ) {
        let Some(failure) = failure else { return };
        let pause = self.children.pause(&source);
        error!(
            flow = %self.flow.spec.name, topic = %source.topic, partition = source.partition, %failure,
            restart_in = ?pause, "partition failed; it is started again"
        );
        self.flow.metrics.restarted(Restarted::Partition);
        self.flow.board.update(&source, |status| {
            status.state = crate::model::status::PartitionState::Faulted;
            status.reason = Some(format!("failed: {failure}; it is started again"));
        });
        myself.send_after(pause, move || FlowMsg::Respawn(source));
    }

    /// Stops for good, without saving: the flow is somebody else's, or must not run.
    pub(super) fn give_up(&mut self, state: FlowState, reason: String) {
        if matches!(self.phase, Phase::Given | Phase::Draining | Phase::Closing) {
            return;
        }
        warn!(flow = %self.flow.spec.name, reason, "flow stopped");
        self.phase = Phase::Given;
        for actor in self.children.alive() {
            actor.stop(None);
        }
        for helper in self.helpers.drain(..) {
            helper.stop(None);
        }
        self.flow.board.set_state(state, Some(reason));
        if let Some(session) = self.flow.session.send_replace(None) {
            let limit = self.flow.mesh.spec.shutdown_timeout;
            tokio::spawn(async move { session.shutdown(limit).await });
        }
    }

    fn drain(&mut self, myself: &ActorRef<FlowMsg>, limit: Duration, reply: RpcReplyPort<usize>) {
        self.drained = Some(reply);
        self.drain_until = Some(Instant::now() + limit);
        for helper in self.helpers.drain(..) {
            // The heartbeat in hand may be lost; there is one a second.
            helper.stop(None);
        }
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.flow.board.set_state(FlowState::Draining, None);
            let waiting =
                self.children.alive().inspect(|actor| drop(actor.cast(PartitionMsg::Drain))).count();
            info!(flow = %self.flow.spec.name, partitions = waiting, "draining");
            if waiting > 0 {
                // Closing the session and the store takes the rest of the time.
                myself.send_after(limit.mul_f64(0.75), || FlowMsg::DrainDeadline);
                return;
            }
        }
        self.close(myself);
    }

    /// Closes session and store, in this order: what the session still acknowledges is not saved, but found.
    fn close(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.phase == Phase::Closing {
            return;
        }
        self.phase = Phase::Closing;
        let until = self.drain_until.unwrap_or_else(Instant::now);
        let session: Option<Arc<dyn Session>> = self.flow.session.send_replace(None);
        let store = self.flow.store.lock().take();
        let myself = myself.clone();
        tokio::spawn(async move {
            if let Some(session) = session {
                session.shutdown(until.saturating_duration_since(Instant::now())).await;
            }
            if let Some(store) = store {
                let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
                let _ = ractor::call_t!(store, super::store::StoreMsg::Drain, left.as_millis() as u64);
            }
            let _ = myself.cast(FlowMsg::Closed);
        });
    }
}
