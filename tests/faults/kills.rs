//! `kill -9`, again and again, under load.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::topologies::{flow, topology};
use crate::common::{Cluster, KafkaClient, Load, MirrorProcess, TestRecord, verify_acknowledged, wait_for};

/// As the issue asks: twenty times.
const KILLS: usize = 20;

/// R1, R2, R3: twenty kills under load, a foreign record now and then, a source that is being compacted, and an
/// identity flow into a shared topic beside it.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_nothing_and_repeat_nothing() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let (here, there) = (east.client(), west.client());
    here.create_topic("orders", 3, &[]).await;
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "500"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    here.create_topic("state", 1, &compacted).await;
    here.create_topic("shared", 1, &[]).await;
    // Kept whole on the target, so that every record that arrived can be counted.
    there.create_topic("east.state", 1, &[]).await;
    there.create_topic("shared", 1, &[]).await;

    let orders = Load::on(here).topic("orders", 3).rate(1_500).start();
    let state = Load::on(here).topic("state", 1).rate(400).start();
    let shared = Load::on(here).topic("shared", 1).rate(200).start();
    let no_sync = "topic_configs: {enabled: false}";
    let clusters = [&east, &west];
    let prefixed = flow("prefixed", "east", "west", &["orders", "state"], &[no_sync, "start: earliest"]);
    let mirror = MirrorProcess::start(&topology(&clusters, &prefixed), &["positions.interval=1s"]);
    // A mesh has one flow between two clusters, so the identity flow is a mesh of its own.
    let identity = ["naming: identity", no_sync, "start: earliest", "heartbeats: {enabled: false}"];
    let merged = flow("merged", "east", "west", &["shared"], &identity);
    let merger = MirrorProcess::start(&topology(&clusters, &merged), &["positions.interval=1s"]);
    let mut foreign = 0;
    for round in 0..KILLS {
        mirrored_more(there, &["east.orders", "east.state", "shared"]).await;
        mirror.kill();
        merger.kill();
        if round % 4 == 1 {
            let stranger = TestRecord::new("foreign", &format!("round {round}"));
            there.produce("east.orders", 0, vec![stranger.clone()]).await;
            there.produce("east.state", 0, vec![stranger]).await;
            foreign += 1;
        }
        mirror.launch();
        merger.launch();
    }
    let written = orders.stop().await;
    state.stop().await;
    shared.stop().await;

    let goal: usize = written.values().map(Vec::len).sum::<usize>() + foreign;
    wait_for(&format!("{goal} orders on west"), async || {
        match there.end_offsets("east.orders").await.iter().sum::<i64>() {
            sum if sum >= goal as i64 => Ok(()),
            sum => Err(format!("{sum}")),
        }
    })
    .await;
    let count = here.end_offsets("shared").await[0];
    wait_for(&format!("{count} records of `shared` on west"), async || {
        match there.end_offsets("shared").await[0] {
            end if end >= count => Ok(()),
            end => Err(format!("{end}")),
        }
    })
    .await;
    let end = here.end_offsets("state").await[0];
    wait_for(&format!("`state` to be mirrored up to its end, {end}"), async || {
        let status = mirror.status().await?;
        let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
        let state = all.into_iter().find(|partition| partition["topic"] == "state").unwrap_or_default();
        if state["source_next"] == end { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    assert_eq!(mirror.terminate().await, Some(0));
    assert_eq!(merger.terminate().await, Some(0));
    verify_acknowledged(here, "orders", &written).await;
    exactly_once(here, "orders", there, "east.orders").await;
    everything_left_arrived_once(here, "state", there, "east.state").await;
    // Identity into a topic that others write too: at least once.
    let (from, to) = (values(here, "shared", 0).await, values(there, "shared", 0).await);
    let arrived: BTreeSet<_> = to.into_iter().collect();
    assert_eq!(
        from.iter().filter(|value| !arrived.contains(*value)).count(),
        0,
        "records of `shared` are missing"
    );
}

/// Waits until each topic has more records than now: the kill shall hit a mirror at work.
async fn mirrored_more(client: &KafkaClient, topics: &[&str]) {
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    wait_for("the mirror to make progress", async || {
        let there = client.topics().await;
        for topic in topics {
            let end: i64 = match there.contains_key(*topic) {
                true => client.end_offsets(topic).await.iter().sum(),
                false => 0,
            };
            let start = *before.entry(topic).or_insert(end);
            if end < start + 50 {
                return Err(format!("{topic} went from {start} to {end}"));
            }
        }
        Ok(())
    })
    .await;
}

async fn values(client: &KafkaClient, topic: &str, partition: usize) -> Vec<String> {
    let records = client.consume_all(topic).await.swap_remove(partition);
    let ours = records.into_iter().filter(|consumed| consumed.record.key.as_deref() != Some(b"foreign"));
    ours.map(|consumed| {
        String::from_utf8_lossy(&consumed.record.value.unwrap_or_default()).trim_end().to_owned()
    })
    .collect()
}

async fn exactly_once(here: &KafkaClient, topic: &str, there: &KafkaClient, remote: &str) {
    let partitions = here.end_offsets(topic).await.len();
    for partition in 0..partitions {
        let (from, to) = (values(here, topic, partition).await, values(there, remote, partition).await);
        if let Some(index) = (0..from.len().max(to.len())).find(|index| from.get(*index) != to.get(*index)) {
            panic!(
                "{topic}-{partition}: {} records here, {} there; at index {index} {:?} here, {:?} there",
                from.len(),
                to.len(),
                from.get(index),
                to.get(index)
            );
        }
    }
}

/// On a compacted source the oldest records go; what is left must be on the target, and what is on the target must
/// rise without a repeat.
async fn everything_left_arrived_once(here: &KafkaClient, topic: &str, there: &KafkaClient, remote: &str) {
    let number = |value: &String| value.parse::<u64>().expect("the load writes numbers");
    let left: Vec<u64> = values(here, topic, 0).await.iter().map(number).collect();
    let arrived: Vec<u64> = values(there, remote, 0).await.iter().map(number).collect();
    if let Some(pair) = arrived.windows(2).find(|pair| pair[1] <= pair[0]) {
        panic!("{remote}: {} follows {}: repeated or out of order", pair[1], pair[0]);
    }
    let arrived: BTreeSet<_> = arrived.into_iter().collect();
    let missing: Vec<_> = left.iter().filter(|number| !arrived.contains(number)).collect();
    assert!(missing.is_empty(), "{remote} misses {} records, {:?} first", missing.len(), missing.first());
}
