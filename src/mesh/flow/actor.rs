//! The flow's actor: waits for its clusters, claims its positions, keeps a session, and wants partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::children::Children;
use super::start::Stored;
use super::topics::Reconciliation;
use crate::formats::Claim;
use crate::mesh::shared::FlowContext;
use crate::mesh::shared::supervise::{self, Backoff};
use crate::model::status::FlowState;
use crate::model::{Fault, Generation, TopicName, TopicPartition};
use crate::store::LoadError;
use crate::telemetry::Restarted;
use crate::topology::{Selector, engine};

/// Faulted topics, limits and loops are looked after this often.
const UPKEEP: Duration = Duration::from_secs(5);

/// What a flow is told.
pub enum FlowMsg {
    /// A catalogue or the state of a cluster changed.
    ClusterChanged,
    /// Ends of source partitions are new.
    EndsChanged,
    /// Claim the flow (again).
    Claim,
    /// The claim was made and the positions were read, or not.
    Claimed(Box<Result<Stored, LoadError>>),
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
    pub(super) reconcile_failed: bool,
    /// Last generations of partitions whose topic is gone: it may come back.
    pub(super) retired: BTreeMap<TopicPartition, Generation>,
    pub(super) topic_faults: BTreeMap<TopicName, Fault>,
    pub(super) left_out: BTreeMap<TopicName, String>,
    pub(super) blocked_before: Duration,
    pub(super) session_generation: Generation,
    pub(super) session_started: Instant,
    pub(super) session_backoff: Backoff,
    pub(super) claim_backoff: Backoff,
    helper_backoff: Backoff,
    pub(super) store: Option<ActorId>,
    pub(super) helpers: Vec<ActorCell>,
    watchers: Vec<JoinHandle<()>>,
    pub(super) drained: Option<RpcReplyPort<usize>>,
    pub(super) drain_until: Option<Instant>,
    pub(super) left_behind: usize,
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
        flow.board.set_engine(engine::choose(&flow.spec), Generation::default());
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
            reconcile_failed: false,
            retired: BTreeMap::new(),
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
        let Some((actor, failure)) = supervise::ended(event) else { return Ok(()) };
        if run.store == Some(actor) && !matches!(run.phase, Phase::Closing | Phase::Given) {
            let why = failure.map_or_else(|| "it stopped".to_owned(), |failure| failure.to_string());
            return Err(format!("the position store of flow {} ended: {why}", run.flow.spec.name).into());
        }
        if let Some(source) = run.children.ended(actor) {
            run.partition_ended(&myself, source, failure);
        } else if let Some(failure) = failure {
            let pause = run.helper_backoff.next_pause();
            error!(flow = %run.flow.spec.name, %failure, restart_in = ?pause, "a helper of the flow failed");
            run.flow.metrics.restarted(Restarted::Actor);
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
}
