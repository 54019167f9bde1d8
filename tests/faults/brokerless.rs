//! Clusters that name no broker for a moment: librdkafka's clients forget all they know, and the flow replaces them.

use serde_json::Value;

use crate::common::topologies::{flow, topology_at};
use crate::common::{
    Cluster, Engine, Listener, Load, MirrorProcess, verify_acknowledged, verify_exact, wait_for,
};

const REMOTE: &str = "east.orders";
/// More records than can be under way at 500 a second: a copy that grows by so many has its client back.
const MORE: i64 = 2_000;
const MOST_TRIES: usize = 20;

/// The sessions that the mirror lost so far, and why.
async fn lost(mirror: &MirrorProcess) -> Vec<Value> {
    mirror.events("session_lost").await
}

/// The copy's records.
async fn held(target: &Cluster) -> i64 {
    target.client().end_offsets(REMOTE).await.iter().sum()
}

/// Waits until the copy has at least `goal` records.
async fn holds(target: &Cluster, goal: i64) {
    wait_for(&format!("{REMOTE} to hold {goal} records"), async || {
        if !target.client().topics().await.contains_key(REMOTE) {
            return Err("the topic is not there".to_owned());
        }
        match held(target).await {
            sum if sum >= goal => Ok(()),
            sum => Err(format!("{sum}")),
        }
    })
    .await;
}

/// Lets a client of `cluster` forget its brokers, until one is given up for it; returns all sessions lost so far.
///
/// Whether librdkafka finds its way back by itself is a race of two of its threads, which it mostly loses: one that
/// goes on is told again.
async fn replaced(mirror: &MirrorProcess, cluster: &Cluster, target: &Cluster) -> Vec<Value> {
    let before = lost(mirror).await.len();
    let proxy = cluster.broker().proxy();
    for _ in 0..MOST_TRIES {
        let hidden = proxy.hidden();
        proxy.hide_brokers();
        // Each client asks about a topic now and then.
        wait_for("an answer without brokers", async || match proxy.hidden() {
            now if now > hidden => Ok(()),
            now => Err(format!("{now} so far")),
        })
        .await;
        proxy.show_brokers();
        let from = held(target).await;
        let given_up = wait_for("the client to be given up, or to go on", async || {
            let (events, now) = (lost(mirror).await, held(target).await);
            match events.len() > before {
                true => Ok(Some(events)),
                false if now > from + MORE => Ok(None),
                false => Err(format!("{events:?}, {from} records, then {now}")),
            }
        })
        .await;
        if let Some(events) = given_up {
            return events;
        }
    }
    panic!("the client found its way back {MOST_TRIES} times: is it still to be watched?");
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
        let events = replaced(&mirror, cluster, &west).await;
        let new: Vec<_> =
            events.iter().map(|event| event["details"]["reason"].as_str().unwrap_or_default()).collect();
        let (name, flow) = (cluster.name(), events.iter().all(|event| event["flow"] == "to-west"));
        let expected = format!("the {client} of cluster {name} has no broker left");
        assert!(flow && new.iter().any(|reason| reason.starts_with(&expected)), "{events:?}");
        let now = held(&west).await;
        holds(&west, now + MORE).await;
    }

    let written = load.stop().await;
    let goal = written.values().map(|records| records.len() as i64).sum();
    holds(&west, goal).await;
    verify_acknowledged(east.client(), "orders", &written).await;
    verify_exact(east.client(), "orders", west.client(), REMOTE).await;
    assert_eq!(lost(&mirror).await.len(), 2, "a session for each side: {:?}", lost(&mirror).await);
    assert_eq!(mirror.terminate().await, Some(0));
}
