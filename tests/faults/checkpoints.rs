//! Checkpoints while everything is killed again and again: readers are never sent back, and never past a record.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mirrormesh::formats::Checkpoint;
use mirrormesh::model::TopicPartition;
use mirrormesh::wire::{GroupCommit, Wire};
use serde_json::json;

use crate::common::topologies::{flow, topology};
use crate::common::{Cluster, KafkaClient, Load, MirrorProcess, TestRecord, wait_for, wire_settings};

const TOPIC: &str = "east.checkpoints.internal";
const OFFSETS: &str = "__mirrormesh-offsets.east";
const KILLS: usize = 8;

/// Everything that was ever written, in its order.
async fn written(client: &KafkaClient) -> Vec<Checkpoint> {
    if !client.topics().await.contains_key(TOPIC) {
        return Vec::new();
    }
    let records = client.consume_all(TOPIC).await.remove(0);
    let decode = |consumed: crate::common::Consumed| {
        Checkpoint::decode(consumed.record.key.as_deref(), consumed.record.value.as_deref())
            .expect("a checkpoint")
    };
    records.into_iter().map(decode).collect()
}

/// Commits for two groups while the topic grows: one keeps up, one goes back at times.
async fn work(bootstrap: String, here: KafkaClient, stop: Arc<AtomicBool>) -> i64 {
    let wire = Wire::new("east".into(), &wire_settings(&bootstrap)).expect("sound settings");
    let (mut round, mut last) = (0, 0);
    loop {
        let stopping = stop.load(Ordering::Acquire);
        last = here.end_offsets("orders").await[0].max(last);
        round += 1;
        let back = if round % 10 == 0 { last / 2 } else { last };
        let commits =
            [("steady", last), ("rewinding", if stopping { last } else { back })].map(|(group, offset)| {
                let offsets = vec![(TopicPartition::new("orders", 0), offset, String::new())];
                GroupCommit { group: group.to_owned(), offsets }
            });
        for (group, outcome) in wire.commit_offsets(commits.to_vec()).await {
            for (partition, result) in outcome.unwrap_or_else(|error| panic!("{group}: {error}")) {
                result.unwrap_or_else(|error| panic!("{group}: {partition}: {error}"));
            }
        }
        if stopping {
            return last;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn kills_send_no_reader_of_checkpoints_back() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let (here, there) = (east.client(), west.client());
    here.create_topic("orders", 1, &[]).await;
    let load = Load::on(here).topic("orders", 1).rate(1_000).start();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn(work(here.bootstrap().to_owned(), here.clone(), stop.clone()));
    let flows = flow("orders", "east", "west", &["orders"], &["groups: {interval: 100ms}"]);
    let topology = topology(&[&east, &west], &flows);
    // Positions, and maps with them, fall behind what is mirrored: a start knows less than the last checkpoint.
    let mirror = MirrorProcess::start(&topology, &["positions.interval=3s"]);
    for _ in 0..KILLS {
        let before = written(there).await.len();
        wait_for("more checkpoints", async || {
            let now = written(there).await.len();
            if now > before + 5 { Ok(()) } else { Err(format!("{now} after {before}")) }
        })
        .await;
        mirror.kill();
        mirror.launch();
    }
    // The group stands back for a moment only: rounds come upon it now and then.
    wait_for("a checkpoint of a group that went back", async || {
        let all = written(there).await;
        let places: Vec<i64> = all
            .iter()
            .filter(|checkpoint| checkpoint.group == "rewinding")
            .map(|checkpoint| checkpoint.upstream_offset)
            .collect();
        match places.windows(2).any(|pair| pair[1] < pair[0]) {
            true => Ok(()),
            false => Err(format!("{} checkpoints, each further than the last", places.len())),
        }
    })
    .await;
    load.stop().await;
    stop.store(true, Ordering::Release);
    let end = worker.await.expect("the worker does its work");
    wait_for("the last checkpoints", async || {
        let all = written(there).await;
        let last = |group: &str| {
            let last = all.iter().rev().find(|checkpoint| checkpoint.group == group);
            last.map(|last| (last.upstream_offset, last.downstream_offset))
        };
        match (last("steady"), last("rewinding")) {
            (Some(steady), Some(rewinding)) if steady == (end, end) && rewinding == (end, end) => Ok(()),
            seen => Err(format!("{seen:?} instead of {end}")),
        }
    })
    .await;
    let mut last: HashMap<String, Checkpoint> = HashMap::new();
    for checkpoint in written(there).await {
        let (up, down) = (checkpoint.upstream_offset, checkpoint.downstream_offset);
        assert_eq!((checkpoint.topic.as_str(), checkpoint.partition), ("east.orders", 0));
        // The log has no gaps and no record twice, so both sides have the same offsets.
        assert!(down <= up, "past an unread record: {checkpoint:?}");
        if let Some(before) = last.insert(checkpoint.group.clone(), checkpoint) {
            let went_back = up < before.upstream_offset;
            assert!(went_back || down > before.downstream_offset, "{before:?}, then {up} → {down}");
        }
    }
    assert_eq!(mirror.terminate().await, Some(0));
}

/// What somebody else wrote into our topics is told, once, and the others are written all the same.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_internal_records_are_told_at_the_start() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    let (here, there) = (east.client(), west.client());
    here.create_topic("orders", 1, &[]).await;
    here.produce("orders", 0, TestRecord::numbered(10)).await;
    here.commit("billing", &[("orders", 0, 5, "")]).await;
    there.create_topic(TOPIC, 1, &[]).await;
    there
        .produce(TOPIC, 0, vec![TestRecord::new("not", "a checkpoint"), TestRecord::new("nor", "one")])
        .await;
    there.create_topic(OFFSETS, 1, &[("cleanup.policy", "compact")]).await;
    there.produce(OFFSETS, 0, vec![TestRecord::new("not", "a map")]).await;
    let flows = flow("orders", "east", "west", &["orders"], &["groups: {interval: 100ms}"]);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &[]);
    let shown = wait_for("a checkpoint, and the damaged ones in the status", async || {
        let status = mirror.status().await?;
        let shown = &status["flows"][0]["groups"]["damaged_checkpoints"];
        let written = there.end_offsets(TOPIC).await[0];
        if written > 2 && shown.is_number() { Ok(shown.clone()) } else { Err(format!("{written} {status}")) }
    })
    .await;
    assert_eq!(shown, 2);
    let events = mirror.events("internal_records_damaged").await;
    assert!(
        events.iter().all(|event| event["flow"] == "orders" && event["severity"] == "warn"),
        "{events:?}"
    );
    let told: Vec<_> =
        events.iter().map(|event| (&event["details"]["event_topic"], &event["details"]["records"])).collect();
    assert_eq!(told, [(&json!(OFFSETS), &json!(1)), (&json!(TOPIC), &json!(2))]);
    assert_eq!(mirror.terminate().await, Some(0));
}
