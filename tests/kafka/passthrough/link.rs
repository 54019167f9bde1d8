//! The sink over links that are long, slow to answer, or cut.

use std::time::Duration;

use super::rig::{Rig, acknowledged, stored};
use crate::common::{Cluster, KafkaClient, Listener, Proxy};

fn expected(records: i64) -> Vec<String> {
    (0..records).map(|offset| offset.to_string()).collect()
}

/// A session over the link of a cluster of its own.
async fn over_link(cluster: &Cluster) -> Rig {
    let link = KafkaClient::new(&cluster.bootstrap_at(Listener::Link));
    cluster.client().create_topic("copy", 1, &[]).await;
    Rig::on(&link, "copy")
}

#[tokio::test]
async fn small_batches_cross_a_long_link_as_large_ones() {
    let cluster = Cluster::builder("longlink").proxied().start().await;
    let rig = over_link(&cluster).await;
    cluster.link(|proxy| proxy.set_latency(Duration::from_millis(50)));
    let mut lane = rig.lane(1, None).await;
    const RECORDS: i64 = 2_000;
    for offset in 0..RECORDS {
        rig.write(&lane, &stored(&[offset]));
    }
    acknowledged(&mut lane, RECORDS).await;
    assert_eq!(lane.seen.records(), RECORDS as u64);
    cluster.link(|proxy| proxy.set_latency(Duration::ZERO));
    assert_eq!(rig.values().await, expected(RECORDS));
    // Five at a time, unmerged, they would take 400 round trips and as many requests.
    let sizes = cluster.data_dir().join("copy-0/00000000000000000000.log");
    let bytes = std::fs::metadata(sizes).expect("the log is there").len();
    assert!(bytes < RECORDS as u64 * 61, "{bytes} bytes hold more than a few headers");
    rig.end().await;
}

#[tokio::test]
async fn everything_arrives_once_and_in_order_through_cuts_and_a_killed_broker() {
    let cluster = Cluster::builder("cutlink").proxied().start().await;
    let rig = over_link(&cluster).await;
    let mut lane = rig.lane(1, None).await;
    const RECORDS: i64 = 3_000;
    const ROUNDS: i64 = 6;
    for round in 0..ROUNDS {
        let from = round * RECORDS / ROUNDS;
        let to = (round + 1) * RECORDS / ROUNDS;
        for offset in from..to {
            rig.write(&lane, &stored(&[offset]));
        }
        acknowledged(&mut lane, from + 50).await;
        if round == ROUNDS / 2 {
            cluster.kill();
            cluster.start().await;
        } else {
            cluster.link(Proxy::cut);
            cluster.link(Proxy::restore);
        }
    }
    acknowledged(&mut lane, RECORDS).await;
    assert_eq!(rig.values().await, expected(RECORDS));
    assert_eq!(rig.session.producer(&lane.id).expect("it wrote").next_sequence, RECORDS as i32);
    rig.end().await;
}

#[tokio::test]
async fn the_next_leader_is_found_when_one_dies() {
    let cluster = Cluster::builder("leaders").brokers(3).start().await;
    let client = cluster.client();
    client.create_topic_with("copy", 1, 3, &[("min.insync.replicas", "2")]).await;
    let rig = Rig::on(client, "copy");
    let mut lane = rig.lane(1, None).await;
    const RECORDS: i64 = 2_000;
    for offset in 0..RECORDS / 2 {
        rig.write(&lane, &stored(&[offset]));
    }
    acknowledged(&mut lane, 100).await;
    let leader = client.leader("copy", 0).await;
    let broker = cluster
        .brokers()
        .iter()
        .find(|broker| i32::from(broker.node_id()) == leader)
        .expect("it is one of three");
    broker.kill();
    for offset in RECORDS / 2..RECORDS {
        rig.write(&lane, &stored(&[offset]));
    }
    acknowledged(&mut lane, RECORDS).await;
    assert_ne!(client.leader("copy", 0).await, leader);
    assert_eq!(rig.values().await, expected(RECORDS));
    rig.end().await;
}
