//! A drain that runs out of time.

use std::time::Duration;

use super::twin::{Twin, both_engines};
use crate::wire::ApiKey;

both_engines! {
    a_drain_out_of_time_leaves_what_the_next_start_finds,
}

/// R1, R3: a target that does not answer keeps nobody from stopping, and nothing is lost or repeated for it.
async fn a_drain_out_of_time_leaves_what_the_next_start_finds(engine: &str) {
    /// Much longer than `shutdown.timeout`: without a limit the drain would wait for ever.
    const CEILING: Duration = Duration::from_secs(60);
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror(engine).await;
    twin.saved().await;

    let gate = twin.west.hold_naming(ApiKey::Produce, "east.orders");
    twin.produce("unanswered", 20);
    let in_flight = || mesh.partition().is_some_and(|partition| partition.in_flight_bytes > 0);
    twin.until("records are on their way", in_flight).await;
    let report = tokio::time::timeout(CEILING, mesh.handle.shutdown()).await.expect("it ends");
    assert_eq!(report.left_behind, 1);
    assert_eq!(twin.copy().len(), 20, "the target has answered nothing");
    // What waited at the gate may still arrive.
    gate.open();

    let next = twin.mirror(engine).await;
    twin.copied().await;
    twin.produce("next", 5);
    twin.saved().await;
    next.stop().await;
    twin.assert_exact();
}
