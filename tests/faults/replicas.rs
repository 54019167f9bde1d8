//! A follower in the mirror's rack is read instead of the leader (KIP-392).

use crate::common::topologies::flow;
use crate::common::{
    Broker, Cluster, Engine, Listener, Load, TestRecord, await_exact, verify_acknowledged, wait_for,
};

const REMOTE: &str = "east.orders";
/// 5 MB of values: everything else that a mirror asks of its source is far smaller.
const RECORDS: usize = 5_000;
const VALUE_BYTES: usize = 1_000;

fn bulk() -> Vec<TestRecord> {
    let value = "v".repeat(VALUE_BYTES);
    (0..RECORDS).map(|n| TestRecord::new(&format!("k-{n}"), &value)).collect()
}

/// What brokers answered to the mirror so far: nobody else comes through their proxies.
fn answered(brokers: [&Broker; 2]) -> [u64; 2] {
    brokers.map(|broker| broker.proxy().answered_bytes())
}

/// R1, R2, R3: records come from the follower in our rack; when it dies from the leader, and when it is back from it
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn the_follower_in_our_rack_is_read() {
    let _seats = crate::seats(4).await;
    let three = Cluster::builder("east").brokers(3).racks(&["r1", "r2", "r3"]).proxied();
    let three = three.property("default.replication.factor", 3);
    let (east, west) = tokio::join!(three.start(), Cluster::builder("west").start());
    let (here, there) = (east.client(), west.client());
    here.create_topic_with("orders", 1, 3, &[]).await;
    let leads = here.leader("orders", 0).await;
    let node = |id: i32| east.brokers().iter().find(|broker| i32::from(broker.node_id()) == id);
    let leader = node(leads).expect("the leader is one of the brokers");
    let follower = node(leads % 3 + 1).expect("ids go from 1 to 3");

    here.produce("orders", 0, bulk()).await;
    let rack = format!("client: {{ client.rack: r{} }}", follower.node_id());
    let topology = format!(
        "mesh: test\nclusters:\n  east: {{ bootstrap: \"{}\", {rack} }}\n  west: {{ bootstrap: \"{}\" }}\nflows:\n{}",
        east.bootstrap_at(Listener::Link),
        west.bootstrap(),
        flow("near", "east", "west", &["orders"], &["start: earliest"]),
    );
    let mirror = Engine::Passthrough.start(&topology, &[]);
    assert_eq!(await_exact(here, "orders", there, REMOTE).await, RECORDS);
    here.produce("orders", 0, bulk()).await;
    assert_eq!(await_exact(here, "orders", there, REMOTE).await, 2 * RECORDS);
    let all = (2 * RECORDS * VALUE_BYTES) as u64;
    let [by_follower, by_leader] = answered([follower, leader]);
    println!("{by_follower} bytes from the follower, {by_leader} from the leader");
    assert!(by_follower >= all && by_leader < all / 10, "{by_follower} from it, {by_leader} from the leader");

    let load = Load::on(here).topic("orders", 1).value_bytes(VALUE_BYTES).codec("none").start();
    load.progress(500).await;
    follower.kill();
    records_from(leader, "the leader").await;
    follower.start().await;
    records_from(follower, "the follower that is back").await;
    let written = load.stop().await;
    await_exact(here, "orders", there, REMOTE).await;
    verify_acknowledged(here, "orders", &written).await;
    let status = mirror.status().await.expect("/status answers");
    assert_eq!(status["flows"][0]["session_generation"], 1, "no session was lost: {}", status["flows"][0]);
    assert_eq!(mirror.terminate().await, Some(0));
}

/// Waits until a broker has sent so much more that it can only be records.
async fn records_from(broker: &Broker, which: &str) {
    let [before, _] = answered([broker, broker]);
    wait_for(&format!("records from {which}"), async || match answered([broker, broker])[0] - before {
        bytes if bytes >= 2_000_000 => Ok(()),
        bytes => Err(format!("{bytes} bytes more")),
    })
    .await;
}
