//! Clusters that name no broker for a moment: librdkafka's clients forget all they know, and the flow replaces them.

use serde_json::Value;

use crate::common::topologies::{flow, topology_at};
use crate::common::{
    Cluster, Engine, Listener, Load, MirrorProcess, verify_acknowledged, verify_exact, wait_for,
};

const REMOTE: &str = "east.orders";

/// The sessions that the mirror lost so far, and why.
async fn lost(mirror: &MirrorProcess) -> Vec<Value> {
    mirror.events("session_lost").await
}

/// Waits until the copy has at least `goal` records.
async fn holds(target: &Cluster, goal: i64) {
    wait_for(&format!("{REMOTE} to hold {goal} records"), async || {
        if !target.client().topics().await.contains_key(REMOTE) {
            return Err("the topic is not there".to_owned());
        }
        match target.client().end_offsets(REMOTE).await.iter().sum::<i64>() {
            sum if sum >= goal => Ok(()),
            sum => Err(format!("{sum}")),
        }
    })
    .await;
}

/// R1, R2, R3: first the consumer, then the producer is told of no broker at all, and stands still for good. The flow
/// replaces it, and says so once.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_brokers_is_replaced() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").proxied().start().await;
    let west = Cluster::builder("west").proxied().start().await;
    east.client().create_topic("orders", 3, &[]).await;
    let flows = flow("to-west", "east", "west", &["orders"], &[]);
    let mirror = Engine::Records.start(&topology_at(&[&east, &west], Listener::Link, &flows), &[]);
    mirror.ready().await;
    let load = Load::on(east.client()).topic("orders", 3).rate(500).start();
    holds(&west, 500).await;

    for (cluster, client) in [(&east, "consumer"), (&west, "producer")] {
        let before = lost(&mirror).await.len();
        let proxy = cluster.broker().proxy();
        let hidden = proxy.hidden();
        proxy.hide_brokers();
        // Each client asks about a topic now and then.
        wait_for("an answer without brokers", async || match proxy.hidden() {
            now if now > hidden => Ok(()),
            now => Err(format!("{now} so far")),
        })
        .await;
        proxy.show_brokers();

        let events = wait_for(&format!("the {client} to be given up"), async || match lost(&mirror).await {
            events if events.len() > before => Ok(events),
            events => Err(format!("{events:?}")),
        })
        .await;
        let new: Vec<_> =
            events.iter().map(|event| event["details"]["reason"].as_str().unwrap_or_default()).collect();
        let (name, flow) = (cluster.name(), events.iter().all(|event| event["flow"] == "to-west"));
        let expected = format!("the {client} of cluster {name} has no broker left");
        assert!(flow && new.iter().any(|reason| reason.starts_with(&expected)), "{events:?}");
        let now = west.client().end_offsets(REMOTE).await.iter().sum::<i64>();
        holds(&west, now + 2_000).await;
    }

    let written = load.stop().await;
    let goal = written.values().map(|records| records.len() as i64).sum();
    holds(&west, goal).await;
    verify_acknowledged(east.client(), "orders", &written).await;
    verify_exact(east.client(), "orders", west.client(), REMOTE).await;
    assert_eq!(lost(&mirror).await.len(), 2, "a session for each side: {:?}", lost(&mirror).await);
    assert_eq!(mirror.terminate().await, Some(0));
}
