//! `/readyz`: whether the mesh does what it is there for.
//!
//! It is ready when it doesn't drain, every cluster was reached at least once since the start, and every flow has
//! read its positions and either mirrors or waits for a cluster. A cluster that goes away later, or a partition that
//! is faulted, does not make it unready: the rest goes on, and a restart would help neither.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::HttpState;
use crate::model::status::{ClusterState, ClusterStatus, FlowState, FlowStatus, MeshStatus};
use crate::model::{Alias, FlowName};

/// Whether the mesh is ready, and what keeps it from that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether it is.
    pub ready: bool,
    /// Everything that keeps it from being ready; empty when it is.
    pub reasons: Vec<Unready>,
}

/// One thing that keeps a mesh from being ready.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Unready {
    /// The process drains.
    Draining,
    /// A cluster was never reached.
    Cluster {
        /// Which.
        cluster: Alias,
        /// How it is.
        state: ClusterState,
        /// Why.
        reason: Option<String>,
    },
    /// A flow doesn't run.
    Flow {
        /// Which.
        flow: FlowName,
        /// What it does instead.
        state: FlowState,
        /// Why.
        reason: Option<String>,
    },
}

/// Judges a status by the rule above.
pub fn readiness(status: &MeshStatus) -> Readiness {
    let draining = status.draining.then_some(Unready::Draining);
    let clusters = status.clusters.iter().filter(|cluster| !was_reached(cluster)).map(|cluster| {
        let ClusterStatus { alias, state, reason, .. } = cluster.clone();
        Unready::Cluster { cluster: alias, state, reason }
    });
    let flows = status.flows.iter().filter(|flow| !runs(flow)).map(|flow| Unready::Flow {
        flow: flow.name.clone(),
        state: flow.state,
        reason: flow.reason.clone(),
    });
    let reasons: Vec<_> = draining.into_iter().chain(clusters).chain(flows).collect();
    Readiness { ready: reasons.is_empty(), reasons }
}

/// A cluster's id is known from its first answer on, and kept when it goes away.
fn was_reached(cluster: &ClusterStatus) -> bool {
    cluster.state == ClusterState::Reachable || cluster.cluster_id.is_some()
}

/// A flow is `starting` until it has read its positions.
fn runs(flow: &FlowStatus) -> bool {
    matches!(flow.state, FlowState::Running | FlowState::Waiting)
}

/// 200 when ready, else 503; the reasons as JSON in both cases.
pub(super) async fn show(State(state): State<HttpState>) -> (StatusCode, Json<Readiness>) {
    let readiness = readiness(&(state.status)());
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::PartitionState;
    use crate::telemetry::testing::{flow, mesh, partition};

    fn ready_mesh() -> MeshStatus {
        mesh(vec![flow("east-west", vec![partition("orders", 0, PartitionState::Faulted)])])
    }

    #[test]
    fn running_flows_are_ready_whatever_one_partition_does() {
        assert_eq!(readiness(&ready_mesh()), Readiness { ready: true, reasons: vec![] });
    }

    #[test]
    fn only_running_and_waiting_flows_are_ready() {
        for (state, expected) in [
            (FlowState::Starting, false),
            (FlowState::Running, true),
            (FlowState::Waiting, true),
            (FlowState::Faulted, false),
            (FlowState::Draining, false),
            (FlowState::Stopped, false),
        ] {
            let mut status = ready_mesh();
            status.flows[0].state = state;
            status.flows[0].reason = Some("because".to_owned());
            let readiness = readiness(&status);
            assert_eq!(readiness.ready, expected, "{state:?}");
            let reason =
                Unready::Flow { flow: "east-west".into(), state, reason: Some("because".to_owned()) };
            assert_eq!(readiness.reasons.contains(&reason), !expected, "{state:?}");
        }
    }

    #[test]
    fn a_cluster_must_have_been_reached_once() {
        let mut status = ready_mesh();
        status.clusters[0].state = ClusterState::Unreachable;
        assert!(readiness(&status).ready, "it was reached before");
        status.clusters[0].cluster_id = None;
        let reason =
            Unready::Cluster { cluster: "east".into(), state: ClusterState::Unreachable, reason: None };
        assert_eq!(readiness(&status).reasons, [reason]);
    }

    #[test]
    fn a_draining_mesh_is_not_ready() {
        let status = MeshStatus { draining: true, ..ready_mesh() };
        assert_eq!(readiness(&status).reasons, [Unready::Draining]);
    }
}
