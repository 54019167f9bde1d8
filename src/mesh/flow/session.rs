//! The flow's engine session: which engine, how it is built, and built again.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tracing::{info, warn};

use super::actor::FlowMsg;
use super::context::FlowContext;
use crate::engine::records::{RecordsSession, RecordsSpec};
use crate::engine::{EngineError, Session};
use crate::model::Generation;

/// How long a lost session may take to close before the next one is built beside it; what it still sends is
/// found by the resume rule.
const CLOSE_LOST: Duration = Duration::from_secs(10);

/// The engine a flow uses, and why.
#[derive(Clone, Copy, Debug)]
pub struct EngineChoice {
    /// Its name.
    pub engine: &'static str,
    /// Why it was taken.
    pub reason: &'static str,
}

/// Chooses the engine of a flow.
pub fn choose(_flow: &FlowContext) -> EngineChoice {
    EngineChoice { engine: "records", reason: "the only engine there is" }
}

/// Builds a session; the flow is told when it is lost.
pub fn start(
    flow: &FlowContext,
    generation: Generation,
    myself: &ActorRef<FlowMsg>,
    expected_partitions: usize,
) -> Result<Arc<dyn Session>, EngineError> {
    let told = myself.clone();
    let spec = RecordsSpec {
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
    };
    let on_lost = Box::new(move |reason: String| {
        let _ = told.cast(FlowMsg::SessionLost(generation, reason));
    });
    let session = RecordsSession::start(spec, on_lost)?;
    for (topic, limits) in flow.limits.all() {
        session.set_target_limits(topic.as_str(), limits);
    }
    info!(flow = %flow.spec.name, engine = "records", %generation, "engine session started");
    Ok(session)
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
