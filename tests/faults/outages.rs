//! Brokers that restart, links that are cut, slow or stalled.

use std::time::Duration;

use crate::common::topologies::{flow, topology, topology_at};
use crate::common::{
    Cluster, KafkaClient, Listener, Load, MirrorProcess, verify_acknowledged, verify_exact, wait_for,
};

/// Waits until the copy has at least `goal` records.
async fn holds(client: &KafkaClient, topic: &str, goal: i64) {
    wait_for(&format!("{topic} to hold {goal} records"), async || {
        if !client.topics().await.contains_key(topic) {
            return Err("the topic is not there".to_owned());
        }
        match client.end_offsets(topic).await.iter().sum::<i64>() {
            sum if sum >= goal => Ok(()),
            sum => Err(format!("{sum}")),
        }
    })
    .await;
}

/// R1, R2, R3, R9: the target, then the source, restarts under load; another flow goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn restarted_brokers_lose_nothing_and_leave_other_flows_alone() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let north = Cluster::builder("north").start().await;
    east.client().create_topic("orders", 3, &[]).await;
    let flows = flow("to-west", "east", "west", &["orders"], &[])
        + &flow("to-north", "east", "north", &["orders"], &[]);
    let mirror = MirrorProcess::start(&topology(&[&east, &west, &north], &flows), &[]);
    mirror.ready().await;
    let load = Load::on(east.client()).topic("orders", 3).rate(2_000).start();
    holds(west.client(), "east.orders", 500).await;

    west.broker().stop().await;
    // The other flow does not notice.
    let before = north.client().end_offsets("east.orders").await.iter().sum::<i64>();
    holds(north.client(), "east.orders", before + 2_000).await;
    west.broker().start().await;
    let before = west.client().end_offsets("east.orders").await.iter().sum::<i64>();
    holds(west.client(), "east.orders", before + 2_000).await;

    west.broker().kill();
    load.progress(1_000).await;
    west.broker().start().await;

    east.broker().stop().await;
    east.broker().start().await;
    load.progress(1_000).await;

    let written = load.stop().await;
    let goal: i64 = written.values().map(|records| records.len() as i64).sum();
    for target in [&west, &north] {
        holds(target.client(), "east.orders", goal).await;
    }
    verify_acknowledged(east.client(), "orders", &written).await;
    for target in [&west, &north] {
        verify_exact(east.client(), "orders", target.client(), "east.orders").await;
    }
    assert_eq!(mirror.terminate().await, Some(0));
}

/// R1, R2, R3: a link that is slow, then cut for half a minute on both sides in turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_and_a_cut_link_lose_nothing() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").proxied().start().await;
    let west = Cluster::builder("west").proxied().start().await;
    east.client().create_topic("orders", 3, &[]).await;
    let flows = flow("link", "east", "west", &["orders"], &[]);
    let mirror = MirrorProcess::start(&topology_at(&[&east, &west], Listener::Link, &flows), &[]);
    mirror.ready().await;
    // 100 ms there and back, on the source's side.
    east.link(|proxy| proxy.set_latency(Duration::from_millis(50)));
    let load = Load::on(east.client()).topic("orders", 3).rate(1_000).start();
    holds(west.client(), "east.orders", 2_000).await;
    east.link(|proxy| proxy.set_latency(Duration::ZERO));
    west.link(|proxy| proxy.set_latency(Duration::from_millis(50)));
    let before = west.client().end_offsets("east.orders").await.iter().sum::<i64>();
    holds(west.client(), "east.orders", before + 2_000).await;
    west.link(|proxy| proxy.set_latency(Duration::ZERO));

    for cluster in [&west, &east] {
        cluster.link(|proxy| proxy.cut());
        wait_for("the mirror to say that the cluster is away", async || {
            let status = mirror.status().await?;
            let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
            let entry =
                clusters.iter().find(|entry| entry["alias"] == cluster.name()).cloned().unwrap_or_default();
            if entry["state"] == "unreachable" { Ok(()) } else { Err(entry.to_string()) }
        })
        .await;
        // The outage itself is what is tested: longer than every socket and request timeout that gives up early.
        tokio::time::sleep(Duration::from_secs(30)).await;
        cluster.link(|proxy| proxy.restore());
        let before = west.client().end_offsets("east.orders").await.iter().sum::<i64>();
        holds(west.client(), "east.orders", before + 1_000).await;
    }
    let written = load.stop().await;
    holds(west.client(), "east.orders", written.values().map(|records| records.len() as i64).sum()).await;
    verify_acknowledged(east.client(), "orders", &written).await;
    verify_exact(east.client(), "orders", west.client(), "east.orders").await;
    assert_eq!(mirror.terminate().await, Some(0));
}

/// R7: the target stalls for a minute while the source offers all it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_target_does_not_cost_memory() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic("bulk", 8, &[]).await;
    // 16 MB/s: fills the budget ten times over in that minute, and can be caught up with in the next.
    let load = Load::on(east.client()).topic("bulk", 8).rate(8_000).value_bytes(2_000).codec("none").start();
    let flows = flow("bulk", "east", "west", &["bulk"], &["codec: none"]);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &["memory.budget=96MiB"]);
    mirror.ready().await;
    holds(west.client(), "east.bulk", 20_000).await;
    west.pause();
    // What counts is what a minute of stall does to memory, so it has to last a minute.
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut peak = 0;
    while tokio::time::Instant::now() < until {
        peak = peak.max(mirror.resident_bytes());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    west.resume();
    let written = load.stop().await;
    let limit = (96 + 100) * 1024 * 1024;
    assert!(peak < limit, "resident memory reached {} MiB", peak / 1024 / 1024);
    println!("peak resident memory during the stall: {} MiB", peak / 1024 / 1024);
    holds(west.client(), "east.bulk", written.values().map(|records| records.len() as i64).sum()).await;
}
