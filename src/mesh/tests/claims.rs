//! A flow that another process claims.

use std::time::Duration;

use super::twin::{FLOW, POSITIONS, Twin, both_engines};
use crate::batch::BatchBuilder;
use crate::fake::FakeCluster;
use crate::formats::{self, Claim, ClaimScope, PositionEntry};
use crate::model::status::FlowState;
use crate::model::{Codec, FaultKind};
use crate::wire::ApiKey;

both_engines! {
    a_first_position_that_comes_late_ends_the_fault,
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

/// R3, R4: who lost the flow began with the partition before it knew. Its first position comes after our claim; without
/// it nobody could tell whose records those on the target are.
async fn a_first_position_that_comes_late_ends_the_fault(engine: &str) {
    let twin = Twin::with_orders(20).await;
    let before = twin.mirror(engine).await;
    twin.saved().await;
    before.stop().await;
    let records = twin.west.records(POSITIONS, 0);
    let late = records.iter().find(|record| {
        let entry =
            formats::decode(record.key.as_deref(), record.value.as_deref()).expect("ours can be read");
        matches!(entry, PositionEntry::Position(..))
    });
    let late = late.expect("it was saved").clone();
    twin.west.delete_records(POSITIONS, 0, twin.west.offsets(POSITIONS, 0).1);

    let mesh = twin.mirror(engine).await;
    let fault = || mesh.partition().and_then(|partition| partition.fault);
    twin.until("it can't tell whose records those are", || fault() == Some(FaultKind::RemoteNotEmpty)).await;
    let mut batch = BatchBuilder::new(Codec::None);
    batch.push(1, late.key.as_deref(), late.value.as_deref(), &[]);
    twin.west.append(POSITIONS, 0, batch);
    twin.produce("more", 5);
    twin.copied().await;
    twin.until("no fault is left", || fault().is_none()).await;
    mesh.stop().await;
    twin.assert_exact();
}
