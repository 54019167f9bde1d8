//! The flow's engine session: how it is built.

use std::sync::Arc;

use ractor::ActorRef;
use tracing::info;

use super::actor::{FlowMsg, FlowRun};
use crate::cluster::ClusterHandle;
use crate::engine::{self, ClusterEnd, EngineError, Session, SessionSpec};
use crate::mesh::shared::FlowContext;
use crate::model::Generation;
use crate::replicator::flow::FlowInput;
use crate::topology::Choice;
use crate::topology::engine::choose;

/// Builds a session; the flow is told when it is lost.
pub(super) fn start(
    flow: &FlowContext,
    generation: Generation,
    myself: &ActorRef<FlowMsg>,
    expected_partitions: usize,
) -> Result<Arc<dyn Session>, EngineError> {
    let told = myself.clone();
    let on_lost = Box::new(move |reason: String| {
        let _ = told.cast(FlowMsg::Happened(FlowInput::SessionLost { generation, reason }));
    });
    let spec = SessionSpec {
        flow: flow.spec.name.clone(),
        source: end(&flow.source),
        target: end(&flow.target),
        isolation: flow.spec.isolation,
        codec: flow.spec.codec,
        account: flow.account.clone(),
        expected_lanes: expected_partitions,
        remembered: flow.remembered.clone(),
    };
    let engine = choose(&flow.spec).engine;
    let session = engine::start(engine, spec, on_lost)?;
    for (topic, limits) in flow.limits.all() {
        session.set_target_limits(topic.as_str(), limits);
    }
    info!(target: crate::mesh::LOG, flow = %flow.spec.name, engine = engine.as_str(), %generation, "engine session started");
    Ok(session)
}

fn end(cluster: &ClusterHandle) -> ClusterEnd {
    ClusterEnd { settings: cluster.settings().clone(), wire: cluster.wire().clone() }
}

/// Partitions the flow will have, for the session's sizes.
pub(super) fn expected_partitions(run: &FlowRun) -> usize {
    let Some(catalogue) = run.flow.source.catalogue() else { return 0 };
    let taken = catalogue
        .topics
        .iter()
        .filter(|(topic, entry)| matches!(run.selector.select(topic, entry.internal), Choice::Take { .. }));
    taken.map(|(_, entry)| entry.partitions.len()).sum()
}
