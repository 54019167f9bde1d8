//! Leaders that move, on both sides.

use super::twin::{Twin, both_engines};
use crate::fake::FakeCluster;

both_engines! {
    partitions_follow_their_leaders,
}

/// R1, R2, R3: a partition goes on at the other broker, and its actor does not notice.
async fn partitions_follow_their_leaders(engine: &str) {
    let twin = Twin::with_orders(20).await;
    let mesh = twin.mirror(engine).await;
    twin.copied().await;
    let actors = (mesh.flow_actors(), mesh.partition_actors());

    for (cluster, topic) in [(&twin.east, "orders"), (&twin.west, "east.orders"), (&twin.east, "orders")] {
        let other = other_broker(cluster, topic);
        cluster.move_leader(topic, 0, other);
        twin.produce(&format!("led by {other}"), 10);
        twin.copied().await;
        twin.until("the partition streams", || mesh.streams()).await;
        assert_eq!(cluster.leader(topic, 0), Some(other));
    }
    // Both at once.
    for (cluster, topic) in [(&twin.east, "orders"), (&twin.west, "east.orders")] {
        cluster.move_leader(topic, 0, other_broker(cluster, topic));
    }
    twin.produce("both", 10);
    twin.saved().await;

    assert_eq!((mesh.flow_actors(), mesh.partition_actors()), actors);
    for event in ["faulted", "session_lost", "target_lost", "source_truncated"] {
        assert!(mesh.events(event).is_empty(), "{:?}", mesh.events(event));
    }
    mesh.stop().await;
    twin.assert_exact();
}

fn other_broker(cluster: &FakeCluster, topic: &str) -> i32 {
    match cluster.leader(topic, 0) {
        Some(1) => 2,
        _ => 1,
    }
}
