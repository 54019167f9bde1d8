//! Three clusters: hub, chain and ring; what is never mirrored; and what Kafka's own client makes of the heartbeats.

use std::collections::BTreeSet;

use crate::common::topologies::{flow, topology};
use crate::common::{
    Cluster, KafkaClient, MirrorProcess, TestRecord, await_exact, java, java_source, wait_for,
};

async fn names(client: &KafkaClient, part: &str) -> BTreeSet<String> {
    client.topics().await.into_keys().filter(|name| name.contains(part)).collect()
}

async fn expect_names(cluster: &Cluster, part: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(cluster.client(), part).await, expected, "topics with {part} on {}", cluster.name());
}

/// A topic with ten records on each of the clusters.
async fn seed(clusters: &[&Cluster], topic: &str) {
    for cluster in clusters {
        cluster.client().create_topic(topic, 1, &[]).await;
        cluster.client().produce(topic, 0, TestRecord::numbered(10)).await;
    }
}

/// R6: each record reaches each cluster once per declared path, and no topic comes back or grows a longer name.
#[tokio::test(flavor = "multi_thread")]
async fn three_clusters_as_hub_chain_and_ring() {
    let _seats = crate::seats(3).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let north = Cluster::builder("north").start().await;
    let all = [&east, &west, &north];

    // Chain: what arrives is mirrored on. First, while no other path has left heartbeats on north.
    seed(&[&east], "chain").await;
    let flows = flow("first", "east", "west", &[".*chain"], &[])
        + &flow("second", "west", "north", &[".*chain"], &[]);
    let mirror = MirrorProcess::start(&topology(&all, &flows), &[]);
    await_exact(east.client(), "chain", north.client(), "west.east.chain").await;
    hops_are_told(&mirror, &north).await;
    assert_eq!(mirror.terminate().await, Some(0));

    // Hub: two into one.
    seed(&all, "hub").await;
    let flows =
        flow("e-n", "east", "north", &[".*hub"], &[]) + &flow("w-n", "west", "north", &[".*hub"], &[]);
    let mirror = MirrorProcess::start(&topology(&all, &flows), &[]);
    for spoke in [&east, &west] {
        await_exact(spoke.client(), "hub", north.client(), &format!("{}.hub", spoke.name())).await;
    }
    assert_eq!(mirror.terminate().await, Some(0));
    expect_names(&north, "hub", &["hub", "east.hub", "west.hub"]).await;
    expect_names(&east, "hub", &["hub"]).await;

    // Ring: all the way round, and not a step further.
    seed(&all, "ring").await;
    let flows = flow("r1", "east", "west", &[".*ring"], &[])
        + &flow("r2", "west", "north", &[".*ring"], &[])
        + &flow("r3", "north", "east", &[".*ring"], &[]);
    let mirror = MirrorProcess::start(&topology(&all, &flows), &[]);
    await_exact(east.client(), "ring", north.client(), "west.east.ring").await;
    await_exact(west.client(), "ring", east.client(), "north.west.ring").await;
    await_exact(north.client(), "ring", west.client(), "east.north.ring").await;
    // A further record on its way round shows that nothing else was started by the first ones.
    east.client().produce("ring", 0, TestRecord::numbered(1)).await;
    await_exact(east.client(), "ring", north.client(), "west.east.ring").await;
    assert_eq!(mirror.terminate().await, Some(0));
    expect_names(&east, "ring", &["ring", "north.ring", "north.west.ring"]).await;
    expect_names(&west, "ring", &["ring", "east.ring", "east.north.ring"]).await;
    expect_names(&north, "ring", &["ring", "west.ring", "west.east.ring"]).await;
}

/// The monitor shows both upstreams of the chain's end, with their paths; Java's own client finds the same.
async fn hops_are_told(mirror: &MirrorProcess, north: &Cluster) {
    wait_for("north to be reached from west and east", async || {
        let status = mirror.status().await?;
        let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
        let entry = clusters.iter().find(|entry| entry["alias"] == "north").cloned().unwrap_or_default();
        let paths: BTreeSet<String> = entry["upstreams"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|upstream| upstream["path"].to_string().replace('"', ""))
            .collect();
        let expected: BTreeSet<String> = ["[west,north]", "[east,west,north]"].map(str::to_owned).into();
        if paths == expected { Ok(()) } else { Err(entry.to_string()) }
    })
    .await;
    let told = java(&java_source("Upstreams.java"), &[north.bootstrap(), "west", "east", "nobody"]).await;
    for line in ["upstreams east west", "hops west 1", "hops east 2", "hops nobody -1"] {
        assert!(told.lines().any(|found| found.trim() == line), "no line {line:?} in {told}");
    }
}

/// `topics: .*` with our own, MirrorMaker 2's and Kafka's internal topics on the source: none is mirrored, under
/// any prefix.
#[tokio::test(flavor = "multi_thread")]
async fn internal_topics_are_never_mirrored() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let internal = [
        "__mirrormesh-positions.south",
        "south.__mirrormesh-positions.x",
        "mm2-offset-syncs.west.internal",
        "mm2-configs.south.internal",
        "mm2-offsets.south.internal",
        "mm2-status.south.internal",
        "south.checkpoints.internal",
        "__consumer_offsets_copy",
    ];
    for topic in internal.iter().chain(&["orders"]) {
        east.client().create_topic(topic, 1, &[]).await;
        east.client().produce(topic, 0, TestRecord::numbered(1)).await;
    }
    // What is written for MirrorMaker 2's clients is left out, for it comes when it comes.
    let none_of_mm2 = ["offset_syncs: off", "groups: {enabled: false}"];
    let flows = flow("all", "east", "west", &[".*"], &none_of_mm2);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &[]);
    await_exact(east.client(), "orders", west.client(), "east.orders").await;
    // A topic made after all the others has come too: the rest was seen and left.
    east.client().create_topic("last", 1, &[]).await;
    east.client().produce("last", 0, TestRecord::numbered(1)).await;
    await_exact(east.client(), "last", west.client(), "east.last").await;
    // The mesh's own topic, which comes when it comes.
    wait_for("the heartbeats to be mirrored", async || match names(west.client(), "east.heartbeats").await {
        none if none.is_empty() => Err("no topic".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert_eq!(mirror.terminate().await, Some(0));
    let copies: BTreeSet<_> = names(west.client(), "east").await;
    let expected: BTreeSet<String> = [
        "__mirrormesh-offsets.east",
        "__mirrormesh-positions.east",
        "east.heartbeats",
        "east.last",
        "east.orders",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(copies, expected);
}
