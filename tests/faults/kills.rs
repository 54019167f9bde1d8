//! `kill -9`, again and again, under load.

use std::collections::{BTreeMap, BTreeSet};

use mirrormesh::model::TopicPartition;

use crate::common::topologies::{flow, topology, topology_as};
use crate::common::{
    Between, Cluster, Engine, KafkaClient, Listener, Load, MirrorProcess, TestRecord, Twin, log_view,
    map_differs, stored_offsets, twins, verify_acknowledged, wait_for,
};
use crate::holds;

/// Often enough that a kill meets every step between fetch and saved position, more than once.
const KILLS: usize = 20;

/// R1, R2, R3: twenty kills under load, a foreign record now and then, a source that is being compacted, and an
/// identity flow into a shared topic beside it; for both engines at once.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told from its begin to its end")]
async fn twenty_kills_lose_nothing_and_repeat_nothing() {
    let _seats = crate::seats(2).await;
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
    for engine in [Engine::Passthrough, Engine::Records] {
        for client in [here, there] {
            client.create_topic(&shared(engine), 1, &[]).await;
        }
        // Kept whole on the target, so that every record that arrived can be counted.
        there.create_topic(&format!("east-{}.state", engine.name()), 1, &[]).await;
    }

    let orders = Load::on(here).topic("orders", 3).rate(1_500).start();
    let state = Load::on(here).topic("state", 1).rate(400).start();
    let merged =
        Load::on(here).topic(&shared(Engine::Passthrough), 1).topic(&shared(Engine::Records), 1).rate(200);
    let merged = merged.start();
    let no_sync = "topic_configs: {enabled: false}";
    let settings = ["positions.interval=1s"];
    let twins = twins("east", &settings, |source| {
        let flows = flow("prefixed", source, "west", &["orders", "state"], &[no_sync, "start: earliest"]);
        topology_as(&[(source, &east), ("west", &west)], Listener::Internal, &flows)
    });
    // A mesh has one flow between two clusters, so the identity flows are meshes of their own.
    let mergers = [Engine::Passthrough, Engine::Records].map(|engine| {
        let identity = ["naming: identity", no_sync, "start: earliest", "heartbeats: {enabled: false}"];
        let flows = flow(&format!("merged-{}", engine.name()), "east", "west", &[&shared(engine)], &identity);
        engine.start(&topology(&[&east, &west], &flows), &settings)
    });
    let mut copies: Vec<String> = Vec::new();
    for twin in &twins {
        copies.extend([twin.remote("orders"), twin.remote("state"), shared(twin.engine)]);
    }
    let mirrors: Vec<_> = twins.iter().map(|twin| &twin.mirror).chain(&mergers).collect();
    let mut foreign = 0;
    for round in 0..KILLS {
        mirrored_more(there, &copies).await;
        mirrors.iter().for_each(|mirror| mirror.kill());
        if round % 4 == 1 {
            let stranger = TestRecord::new("foreign", &format!("round {round}"));
            for twin in &twins {
                there.produce(&twin.remote("orders"), 0, vec![stranger.clone()]).await;
                there.produce(&twin.remote("state"), 0, vec![stranger.clone()]).await;
            }
            foreign += 1;
        }
        mirrors.iter().for_each(|mirror| mirror.launch());
    }
    let written = orders.stop().await;
    state.stop().await;
    merged.stop().await;
    verify_acknowledged(here, "orders", &written).await;
    let count: usize = written.values().map(Vec::len).sum();
    for (twin, merger) in twins.iter().zip(&mergers) {
        println!("{:?}", twin.engine);
        holds(there, &twin.remote("orders"), (count + foreign) as i64).await;
        let shared = shared(twin.engine);
        holds(there, &shared, here.end_offsets(&shared).await[0]).await;
        passed(&twin.mirror, "state", here.end_offsets("state").await[0]).await;
        assert_eq!(twin.mirror.terminate().await, Some(0));
        assert_eq!(merger.terminate().await, Some(0));
        exactly_once(here, "orders", there, &twin.remote("orders")).await;
        everything_left_arrived_once(here, "state", there, &twin.remote("state")).await;
        maps_are_true(&east, &west, twin).await;
        // Identity into a topic that others write too: at least once.
        let (from, to) = (values(here, &shared, 0).await, values(there, &shared, 0).await);
        let arrived: BTreeSet<_> = to.into_iter().collect();
        let missing = from.iter().filter(|value| !arrived.contains(*value)).count();
        assert_eq!(missing, 0, "records of {shared} are missing");
    }
}

/// The topic that an engine's identity flow writes on both clusters.
fn shared(engine: Engine) -> String {
    format!("shared-{}", engine.name())
}

/// Waits until the mirror has passed `end` in the topic's only partition.
async fn passed(mirror: &MirrorProcess, topic: &str, end: i64) {
    wait_for(&format!("{topic} to be mirrored up to its end, {end}"), async || {
        let status = mirror.status().await?;
        let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
        let partition = all.into_iter().find(|partition| partition["topic"] == topic).unwrap_or_default();
        if partition["source_next"] == end { Ok(()) } else { Err(partition.to_string()) }
    })
    .await;
}

/// Waits until each topic has more records than now: the kill shall hit a mirror at work.
async fn mirrored_more(client: &KafkaClient, topics: &[String]) {
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    wait_for("the mirror to make progress", async || {
        let there = client.topics().await;
        for topic in topics {
            let end: i64 = match there.contains_key(topic) {
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

/// The stored offset maps are exact: in every partition at every record, and where neither foreign records nor
/// compaction lie between, everywhere.
async fn maps_are_true(east: &Cluster, west: &Cluster, twin: &Twin) {
    let stored = stored_offsets(west.bootstrap(), &twin.source, "prefixed").await;
    assert!(stored.damaged.is_empty(), "{:?}", stored.damaged);
    let expected = [
        ("orders", 0, Between::Safe),
        ("orders", 1, Between::Exact),
        ("orders", 2, Between::Exact),
        ("state", 0, Between::Safe),
    ];
    for (topic, partition, between) in expected {
        let here = log_view(east.client(), topic, partition).await;
        let there = log_view(west.client(), &twin.remote(topic), partition).await;
        let map = &stored.maps[&TopicPartition::new(topic, partition as i32)];
        let difference = map_differs(map, &here, &there, 0, between);
        assert_eq!(difference, None, "{:?}: {topic}-{partition}", twin.engine);
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
