//! Two meshes that mirror into each other.

use super::twin::Twin;
use crate::fake::FakeCluster;

/// R6: what came from a cluster is not mirrored back to it.
#[tokio::test]
async fn two_meshes_in_a_ring_send_nothing_back() {
    let twin = Twin::with_orders(20).await;
    twin.west.create_topic("orders", 1, &[]);
    twin.west.produce("orders", 0, &[("west", "west 0"), ("west", "west 1")]);
    let keys = |from, to| format!("{from}-{to}: {{ from: {from}, to: {to}, topics: ['.*'] }}");
    let there = twin.mesh(&[&keys("east", "west")]).await;
    let back = twin.mesh(&[&keys("west", "east")]).await;
    twin.saved().await;
    let came_back = || twin.east.topics().contains_key("west.orders") && there.streams() && back.streams();
    twin.until("the way back", || came_back() && twin.east.values("west.orders", 0).len() == 2).await;

    twin.produce("more", 5);
    twin.west.produce("orders", 0, &[("west", "west 2")]);
    twin.saved().await;
    twin.until("the way back", || twin.east.values("west.orders", 0).len() == 3).await;
    twin.some_looks().await;
    let mirrored = |cluster: &FakeCluster| -> Vec<String> {
        cluster.topics().into_keys().filter(|topic| topic.ends_with("orders")).collect()
    };
    assert_eq!(mirrored(&twin.east), ["orders", "west.orders"]);
    assert_eq!(mirrored(&twin.west), ["east.orders", "orders"]);
    there.stop().await;
    back.stop().await;
    assert_eq!(twin.east.records("west.orders", 0), twin.west.records("orders", 0));
    twin.assert_exact();
}
