//! The flow's engine session: how it is built, and built again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use ractor::ActorRef;
use tracing::{error, info, warn};

use super::actor::{FlowMsg, FlowRun, Phase};
use crate::cluster::ClusterHandle;
use crate::engine::passthrough::{PassthroughSession, PassthroughSpec};
use crate::engine::records::{Answers, RecordsSession, RecordsSpec};
use crate::engine::{EngineError, Session};
use crate::mesh::shared::FlowContext;
use crate::model::status::FlowState;
use crate::model::{Event, Generation};
use crate::telemetry::Restarted;
use crate::topology::{EngineKind, Isolation, engine};
use crate::wire::OffsetSpec;

/// How long a lost session may take to close before the next one is built beside it; what it still sends is
/// found by the resume rule.
const CLOSE_LOST: Duration = Duration::from_secs(10);

/// A session that lived this long counts as a success.
const SESSION_SUCCESS: Duration = Duration::from_secs(60);

/// Builds a session; the flow is told when it is lost.
pub fn start(
    flow: &FlowContext,
    generation: Generation,
    myself: &ActorRef<FlowMsg>,
    expected_partitions: usize,
) -> Result<Arc<dyn Session>, EngineError> {
    let told = myself.clone();
    let on_lost = Box::new(move |reason: String| {
        let _ = told.cast(FlowMsg::SessionLost(generation, reason));
    });
    let engine = engine::choose(&flow.spec).engine;
    let session: Arc<dyn Session> = match engine {
        EngineKind::Passthrough => PassthroughSession::start(passthrough(flow), on_lost),
        EngineKind::Records => RecordsSession::start(records(flow, expected_partitions), on_lost)?,
    };
    for (topic, limits) in flow.limits.all() {
        session.set_target_limits(topic.as_str(), limits);
    }
    info!(flow = %flow.spec.name, engine = engine.as_str(), %generation, "engine session started");
    Ok(session)
}

fn passthrough(flow: &FlowContext) -> PassthroughSpec {
    PassthroughSpec {
        flow: flow.spec.name.clone(),
        source: flow.source.wire().clone(),
        target: flow.target.wire().clone(),
        isolation: flow.spec.isolation,
        codec: flow.spec.codec,
        rack: flow.source.settings().rack.clone(),
        account: flow.account.clone(),
    }
}

fn records(flow: &FlowContext, expected_partitions: usize) -> RecordsSpec {
    RecordsSpec {
        flow: flow.spec.name.clone(),
        source_alias: flow.source.alias().clone(),
        target_alias: flow.target.alias().clone(),
        source: flow.source.settings().clone(),
        target: flow.target.settings().clone(),
        isolation: flow.spec.isolation,
        codec: flow.spec.codec,
        account: flow.account.clone(),
        queue_bytes: flow.mesh.queue_bytes_per_client,
        expected_partitions,
        suspects: flow.suspects.clone(),
        source_answers: answers(&flow.source),
        target_answers: answers(&flow.target),
    }
}

/// Asks a cluster over our own connection whether a partition's leader answers.
fn answers(cluster: &ClusterHandle) -> Answers {
    let wire = cluster.wire().clone();
    Arc::new(move |partition| {
        let wire = wire.clone();
        async move {
            // Not among the look-ups of others, which may wait for a broker that is away.
            let ends =
                wire.list_offsets(&[(partition, OffsetSpec::Latest)], Isolation::ReadUncommitted).await;
            ends.is_ok_and(|ends| ends.iter().any(|(_, end)| end.is_ok()))
        }
        .boxed()
    })
}

/// Closes a lost session and says when it is gone.
pub fn bury(
    flow: &Arc<FlowContext>,
    session: Option<Arc<dyn Session>>,
    pause: Duration,
    myself: &ActorRef<FlowMsg>,
) {
    let (flow, myself) = (flow.clone(), myself.clone());
    tokio::spawn(async move {
        if let Some(session) = session
            && tokio::time::timeout(CLOSE_LOST + Duration::from_secs(1), session.shutdown(CLOSE_LOST))
                .await
                .is_err()
        {
            warn!(flow = %flow.spec.name, "the lost engine session does not close; going on without it");
        }
        tokio::time::sleep(pause).await;
        let _restart = flow.mesh.restarts.acquire().await;
        let _ = myself.cast(FlowMsg::StartSession);
    });
}

impl FlowRun {
    pub(super) fn start_session(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.phase != Phase::Running {
            return;
        }
        self.session_generation = self.session_generation.next();
        let expected = self.children.len().max(self.expected_partitions());
        match start(&self.flow, self.session_generation, myself, expected) {
            Ok(session) => {
                self.session_started = Instant::now();
                self.flow.session.send_replace(Some(session));
                self.flow.board.set_engine(engine::choose(&self.flow.spec), self.session_generation);
                self.flow.board.set_state(FlowState::Running, None);
            }
            Err(failure) => self.session_refused(myself, &failure),
        }
    }

    pub(super) fn session_refused(&mut self, myself: &ActorRef<FlowMsg>, failure: &EngineError) {
        let retry_in = self.session_backoff.next_pause();
        error!(flow = %self.flow.spec.name, %failure, ?retry_in, "engine session not started");
        self.flow.board.set_state(FlowState::Faulted, Some(failure.to_string()));
        myself.send_after(retry_in, || FlowMsg::StartSession);
    }

    pub(super) fn session_lost(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        generation: Generation,
        reason: String,
    ) {
        if generation != self.session_generation || self.phase != Phase::Running {
            return;
        }
        if self.session_started.elapsed() > SESSION_SUCCESS {
            self.session_backoff.reset();
        }
        self.flow.report(&Event::SessionLost { reason });
        self.flow.metrics.restarted(Restarted::Session);
        let lost = self.flow.session.send_replace(None);
        bury(&self.flow, lost, self.session_backoff.next_pause(), myself);
    }
}
