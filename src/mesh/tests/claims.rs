//! A flow that another process claims.

use std::time::Duration;

use super::twin::{FLOW, POSITIONS, Twin, both_engines};
use crate::batch::BatchBuilder;
use crate::fake::FakeCluster;
use crate::formats::{Claim, ClaimScope};
use crate::model::Codec;
use crate::model::status::FlowState;
use crate::wire::ApiKey;

both_engines! {
    a_flow_that_is_claimed_elsewhere_is_left_alone,
}

/// Appends the claim of a process on another machine.
fn claim(west: &FakeCluster) {
    let claim = Claim {
        process: "the-other".to_owned(),
        host: "elsewhere".to_owned(),
        pid: 4711,
        claimed_ms: 1,
        released: false,
    };
    let mut batch = BatchBuilder::new(Codec::None);
    batch.push(1, Some(&ClaimScope::Flow(FLOW.into()).key()), Some(&claim.encode()), &[]);
    west.append(POSITIONS, 0, batch);
}

/// R3: who has lost its flow stops, says who has it, and reads, writes and saves nothing more.
async fn a_flow_that_is_claimed_elsewhere_is_left_alone(engine: &str) {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror(engine).await;
    twin.saved().await;
    let session = mesh.session();

    claim(&twin.west);
    twin.until("the flow stops", || mesh.flow().state == FlowState::Stopped).await;
    let reason = mesh.flow().reason.expect("it says why");
    for part in ["the-other", "elsewhere", "4711"] {
        assert!(reason.contains(part), "{reason}");
    }
    twin.until("its partitions are gone", || mesh.partition_actors().is_empty()).await;
    let told = mesh.events("claim_lost");
    assert_eq!(told.len(), 1, "{told:?}");
    // When this returns, the session has closed its connections.
    session.shutdown(Duration::from_secs(60)).await;
    twin.some_looks().await;
    let done = || (twin.east.count(ApiKey::Fetch), twin.west.count(ApiKey::Produce), twin.copy().len());
    let (before, stored) = (done(), twin.west.offsets(POSITIONS, 0));

    twin.produce("for the other", 20);
    twin.east.commit("billing", "orders", 0, 10);
    twin.some_looks().await;
    assert_eq!(done(), before);
    mesh.stop().await;
    assert_eq!(done(), before, "a claim that is lost is not released");
    assert_eq!(twin.west.offsets(POSITIONS, 0), stored);
    assert_eq!(twin.west.committed("billing", "east.orders", 0), None);

    // Whoever takes it over later goes on where it was left.
    let next = twin.mirror(engine).await;
    twin.copied().await;
    assert_ne!(next.flow().state, FlowState::Stopped);
    next.stop().await;
    twin.assert_exact();
}
