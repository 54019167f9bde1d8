//! A cluster that is not there yet.

use super::twin::Twin;
use crate::model::status::{ClusterState, FlowState};

/// R9: a flow waits for a target that is away, says so, and begins when it is there.
#[tokio::test]
async fn a_flow_begins_when_its_target_is_there() {
    let twin = Twin::with_orders(20).await;
    for broker in [1, 2] {
        twin.west.stop_broker(broker).await;
    }
    let mesh = twin.mirror("passthrough").await;
    twin.until("the flow waits", || mesh.flow().state == FlowState::Waiting && mesh.flow().reason.is_some())
        .await;
    let away =
        || mesh.handle.status().clusters.iter().any(|cluster| cluster.state == ClusterState::Unreachable);
    twin.until("the cluster shows", away).await;
    assert!(mesh.flow().reason.is_some_and(|why| why.contains("west")), "{:?}", mesh.flow().reason);
    for broker in [1, 2] {
        twin.west.start_broker(broker).await;
    }
    twin.saved().await;
    twin.until("the flow runs", || mesh.streams()).await;
    assert_eq!(mesh.flow().reason, None);
    mesh.stop().await;
    twin.assert_exact();
}
