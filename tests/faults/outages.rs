//! Brokers that restart, links that are cut, slow or stalled.

use std::time::Duration;

use crate::common::topologies::{flow, topology_as};
use crate::common::{Cluster, Listener, Load, Twin, twins, verify_acknowledged, verify_exact, wait_for};
use crate::holds;

/// Waits until each engine's copy has so many records more than now.
async fn holds_more(target: &Cluster, twins: &[Twin], topic: &str, more: i64) {
    let client = target.client();
    let there = client.topics().await;
    let mut goals = Vec::new();
    for remote in twins.iter().map(|twin| twin.remote(topic)) {
        let now = match there.contains_key(&remote) {
            true => client.end_offsets(&remote).await.iter().sum::<i64>(),
            false => 0,
        };
        goals.push((remote, now + more));
    }
    for (remote, goal) in goals {
        holds(client, &remote, goal).await;
    }
}

/// R1, R2, R3, R9: the target, then the source, restarts under load; another flow goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn restarted_brokers_lose_nothing_and_leave_other_flows_alone() {
    let _seats = crate::seats(3).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let north = Cluster::builder("north").start().await;
    east.client().create_topic("orders", 3, &[]).await;
    let twins = twins("east", &[], |source| {
        let flows = flow("to-west", source, "west", &["orders"], &[])
            + &flow("to-north", source, "north", &["orders"], &[]);
        topology_as(&[(source, &east), ("west", &west), ("north", &north)], Listener::Internal, &flows)
    });
    for twin in &twins {
        twin.mirror.ready().await;
    }
    let load = Load::on(east.client()).topic("orders", 3).rate(2_000).start();
    holds_more(&west, &twins, "orders", 500).await;

    west.broker().stop().await;
    // The other flow does not notice.
    holds_more(&north, &twins, "orders", 2_000).await;
    west.broker().start().await;
    holds_more(&west, &twins, "orders", 2_000).await;

    west.broker().kill();
    load.progress(1_000).await;
    west.broker().start().await;

    east.broker().stop().await;
    east.broker().start().await;
    load.progress(1_000).await;

    let written = load.stop().await;
    let goal = written.values().map(|records| records.len() as i64).sum();
    verify_acknowledged(east.client(), "orders", &written).await;
    for twin in &twins {
        for target in [&west, &north] {
            holds(target.client(), &twin.remote("orders"), goal).await;
            verify_exact(east.client(), "orders", target.client(), &twin.remote("orders")).await;
        }
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
}

/// R1, R2, R3: a link that is slow, then cut for most of a minute on both sides in turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_and_a_cut_link_lose_nothing() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").proxied().start().await;
    let west = Cluster::builder("west").proxied().start().await;
    east.client().create_topic("orders", 3, &[]).await;
    let twins = twins("east", &[], |source| {
        let flows = flow("link", source, "west", &["orders"], &[]);
        topology_as(&[(source, &east), ("west", &west)], Listener::Link, &flows)
    });
    for twin in &twins {
        twin.mirror.ready().await;
    }
    // 100 ms there and back, on the source's side.
    east.link(|proxy| proxy.set_latency(Duration::from_millis(50)));
    let load = Load::on(east.client()).topic("orders", 3).rate(1_000).start();
    holds_more(&west, &twins, "orders", 2_000).await;
    east.link(|proxy| proxy.set_latency(Duration::ZERO));
    west.link(|proxy| proxy.set_latency(Duration::from_millis(50)));
    holds_more(&west, &twins, "orders", 2_000).await;
    west.link(|proxy| proxy.set_latency(Duration::ZERO));

    for cluster in [&west, &east] {
        cluster.link(|proxy| proxy.cut());
        for twin in &twins {
            let alias = if cluster.name() == "east" { &twin.source } else { cluster.name() };
            away(twin, alias).await;
        }
        // The outage itself is what is tested: longer than every socket and request timeout that gives up early, and
        // than a client without brokers is waited for while its cluster answers others.
        tokio::time::sleep(Duration::from_secs(50)).await;
        cluster.link(|proxy| proxy.restore());
        holds_more(&west, &twins, "orders", 1_000).await;
    }
    let written = load.stop().await;
    let goal = written.values().map(|records| records.len() as i64).sum();
    verify_acknowledged(east.client(), "orders", &written).await;
    for twin in &twins {
        holds(west.client(), &twin.remote("orders"), goal).await;
        verify_exact(east.client(), "orders", west.client(), &twin.remote("orders")).await;
        // Who waits for a cluster that is away needs no new session.
        let lost = twin.mirror.events("session_lost").await;
        assert!(lost.is_empty(), "{:?}: {lost:?}", twin.engine);
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
}

/// Waits until a mirror shows a cluster as away.
async fn away(twin: &Twin, alias: &str) {
    wait_for(&format!("{:?} to say that {alias} is away", twin.engine), async || {
        let status = twin.mirror.status().await?;
        let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
        let entry = clusters.iter().find(|entry| entry["alias"] == alias).cloned().unwrap_or_default();
        if entry["state"] == "unreachable" { Ok(()) } else { Err(entry.to_string()) }
    })
    .await;
}

/// R7: the target stalls for a minute while the source offers all it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_target_does_not_cost_memory() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic("bulk", 8, &[]).await;
    // 8 MB/s: fills each budget five times over in that minute, and both can be caught up with in the next.
    let load = Load::on(east.client()).topic("bulk", 8).rate(4_000).value_bytes(2_000).codec("none").start();
    let twins = twins("east", &["memory.budget=96MiB"], |source| {
        let flows = flow("bulk", source, "west", &["bulk"], &["codec: none"]);
        topology_as(&[(source, &east), ("west", &west)], Listener::Internal, &flows)
    });
    for twin in &twins {
        twin.mirror.ready().await;
    }
    holds_more(&west, &twins, "bulk", 10_000).await;
    west.pause();
    // What counts is what a minute of stall does to memory, so it has to last a minute.
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut peaks = [0; 2];
    while tokio::time::Instant::now() < until {
        for (peak, twin) in peaks.iter_mut().zip(&twins) {
            *peak = twin.mirror.resident_bytes().max(*peak);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    west.resume();
    let written = load.stop().await;
    let goal = written.values().map(|records| records.len() as i64).sum();
    // The client of a session may have to be replaced first: see `brokerless`.
    holds_more(&west, &twins, "bulk", 1).await;
    for (peak, twin) in peaks.into_iter().zip(&twins) {
        let (peak, limit) = (peak / 1024 / 1024, 96 + 100);
        println!("peak resident memory of {:?} during the stall: {peak} MiB", twin.engine);
        assert!(peak < limit, "resident memory of {:?} reached {peak} MiB", twin.engine);
        holds(west.client(), &twin.remote("bulk"), goal).await;
    }
}
