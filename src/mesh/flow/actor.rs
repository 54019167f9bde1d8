//! The flow's actor: turns messages into inputs of the state machine, and its outputs into deeds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;

use super::claim::Stored;
use super::facts;
use super::partitions::PartitionActors;
use crate::mesh::shared::{Alarm, FlowContext, Tasks, supervise};
use crate::model::Generation;
use crate::model::status::FlowState;
use crate::replicator::flow::{FlowConfig, FlowInput, FlowMachine};
use crate::topology::{EngineKind, Selector, engine};

/// What a flow is told.
pub(crate) enum FlowMsg {
    /// A catalogue or the state of a cluster changed.
    ClusterChanged,
    /// Ends of source partitions are new.
    EndsChanged,
    /// The claim of this attempt was made, and what is stored was read.
    Claimed(u64, Box<Stored>),
    /// Anything else that the machine has to know.
    Happened(FlowInput),
    /// Finish what is in flight, save, stop; answers how many partitions could not.
    Drain(Duration, RpcReplyPort<usize>),
    /// A deadline passed.
    Tick,
}

/// What a flow is made with.
pub(crate) struct FlowArguments {
    /// What its actors share.
    pub flow: Arc<FlowContext>,
    /// Its choice of topics.
    pub selector: Arc<Selector>,
}

/// One flow.
pub(crate) struct FlowActor;

/// State of a flow.
pub(crate) struct FlowRun {
    pub(super) flow: Arc<FlowContext>,
    pub(super) selector: Arc<Selector>,
    pub(super) machine: FlowMachine,
    /// Answers to outputs that the machine hears before anything else.
    pub(super) answers: VecDeque<FlowInput>,
    pub(super) partitions: PartitionActors,
    /// What the claim read, until the store is started.
    pub(super) stored: Option<Stored>,
    pub(super) store: Option<ActorId>,
    pub(super) jobs: Vec<ActorCell>,
    pub(super) blocked_before: Duration,
    pub(super) drained: Vec<RpcReplyPort<usize>>,
    pub(super) tasks: Tasks,
    alarm: Alarm<FlowMsg>,
    shown: (FlowState, Option<String>),
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
        let engine = engine::choose(&flow.spec);
        let config = FlowConfig {
            name: flow.spec.name.clone(),
            from: flow.spec.from.clone(),
            to: flow.spec.to.clone(),
            heartbeat_interval: flow.spec.heartbeats.interval,
            repeat_ends: engine.engine == EngineKind::Records,
            close_limit: flow.mesh.spec.shutdown_timeout,
            seed: rand::random(),
        };
        flow.board.set_engine(engine, Generation::default());
        flow.board.set_state(FlowState::Starting, None);
        let mut tasks = Tasks::default();
        watch(&mut tasks, flow.source.watch(), &myself, || FlowMsg::ClusterChanged);
        watch(&mut tasks, flow.target.watch(), &myself, || FlowMsg::ClusterChanged);
        watch(&mut tasks, flow.source.ends(), &myself, || FlowMsg::EndsChanged);
        myself.cast(FlowMsg::Happened(FlowInput::Start))?;
        myself.cast(FlowMsg::ClusterChanged)?;
        Ok(FlowRun {
            machine: FlowMachine::new(config, flow.memory()),
            blocked_before: flow.account.blocked_time(),
            flow,
            selector: args.selector,
            answers: VecDeque::new(),
            partitions: PartitionActors::default(),
            stored: None,
            store: None,
            jobs: Vec::new(),
            drained: Vec::new(),
            tasks,
            alarm: Alarm::default(),
            shown: (FlowState::Starting, None),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            FlowMsg::ClusterChanged => run.look(&myself).await,
            FlowMsg::EndsChanged => {
                let ends = facts::ends(&run.flow);
                run.step(&myself, FlowInput::Ends(ends)).await
            }
            FlowMsg::Claimed(attempt, stored) => {
                let token = stored.token();
                run.stored = Some(*stored);
                run.step(&myself, FlowInput::Claimed { attempt, token }).await
            }
            FlowMsg::Happened(input) => {
                if matches!(input, FlowInput::Reconciled { .. }) {
                    // What it found may be newer than what the machine knows of the clusters.
                    run.look(&myself).await?;
                }
                run.step(&myself, input).await
            }
            FlowMsg::Drain(limit, reply) => {
                run.drained.push(reply);
                run.step(&myself, FlowInput::Drain { limit }).await
            }
            FlowMsg::Tick => {
                run.alarm.rang();
                run.step(&myself, FlowInput::Tick).await
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        run: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((actor, failure)) = supervise::ended(event) else { return Ok(()) };
        let failure = failure.map(|failure| failure.to_string());
        let input = if run.store == Some(actor) {
            FlowInput::StoreEnded(failure.unwrap_or_else(|| "it stopped".to_owned()))
        } else if let Some(source) = run.partitions.ended(actor) {
            let generation = run.flow.generations.last(&source);
            FlowInput::PartitionEnded { source, generation, failure }
        } else if let Some(failure) = failure {
            FlowInput::JobFailed(failure)
        } else {
            return Ok(());
        };
        run.step(&myself, input).await
    }
}

impl FlowRun {
    /// Tells the machine how the clusters are now.
    async fn look(&mut self, myself: &ActorRef<FlowMsg>) -> Result<(), ActorProcessingErr> {
        let clusters = facts::clusters(&self.flow);
        self.step(myself, FlowInput::Clusters(Box::new(clusters))).await
    }

    /// One input through the machine, and all that follows from it.
    async fn step(&mut self, myself: &ActorRef<FlowMsg>, input: FlowInput) -> Result<(), ActorProcessingErr> {
        self.answers.push_back(input);
        while let Some(input) = self.answers.pop_front() {
            let mut outputs = Vec::new();
            self.machine.handle(self.now(), input, &mut outputs);
            self.flow.set_living_partitions(self.machine.living_partitions());
            for output in outputs {
                self.perform(myself, output).await?;
            }
        }
        self.alarm.set(myself, self.machine.deadline(), self.now(), || FlowMsg::Tick);
        self.show();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.flow.mesh.epoch.elapsed()
    }

    pub(super) fn show(&mut self) {
        let now = (self.machine.state(), self.machine.reason());
        if now != self.shown {
            self.flow.board.set_state(now.0, now.1.clone());
            self.shown = now;
        }
    }
}

impl Drop for FlowRun {
    /// `post_stop` does not run after an error or a kill.
    fn drop(&mut self) {
        for source in self.machine.partitions() {
            self.flow.source.forget(self.flow.spec.isolation, source);
        }
        self.flow.remember_first_topics(self.machine.memory().first_topics);
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
    tasks: &mut Tasks,
    mut changes: watch::Receiver<T>,
    myself: &ActorRef<FlowMsg>,
    message: fn() -> FlowMsg,
) {
    let myself = myself.clone();
    // Ends with the actor, or with the cluster's handle, which outlives it.
    tasks.spawn(
        async move { while changes.changed().await.is_ok() && myself.cast(message()).is_ok() {} },
        |_| {},
    );
}
