//! Logs that are not what they were: re-created, overtaken, truncated; and two processes on one flow.

use serde_json::Value;

use crate::common::topologies::{flow, topology};
use crate::common::{Cluster, KafkaClient, MirrorProcess, TestRecord, await_exact, verify_exact, wait_for};

/// Waits for an event of this name and returns it.
async fn event(mirror: &MirrorProcess, name: &str) -> Value {
    wait_for(&format!("the event {name}"), async || {
        let (code, body) = mirror.get("/events").await?;
        if code != 200 {
            return Err(format!("{code} {body}"));
        }
        let events: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let all = events["events"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|event| event["event"] == name).ok_or(body)
    })
    .await
}

async fn count(client: &KafkaClient, topic: &str, goal: usize) {
    wait_for(&format!("{topic} to hold {goal} records"), async || {
        if !client.topics().await.contains_key(topic) {
            return Err("the topic is not there".to_owned());
        }
        match client.consume_all(topic).await.iter().map(Vec::len).sum::<usize>() {
            found if found == goal => Ok(()),
            found => Err(format!("{found}")),
        }
    })
    .await;
}

/// A clean pair with one topic of ten records, mirrored.
async fn mirrored(topic: &str, more: &[&str]) -> (Cluster, Cluster, MirrorProcess) {
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic(topic, 1, &[]).await;
    east.client().produce(topic, 0, TestRecord::numbered(10)).await;
    let flows = flow("flow", "east", "west", &[topic], more);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &[]);
    mirror.ready().await;
    await_exact(east.client(), topic, west.client(), &format!("east.{topic}")).await;
    (east, west, mirror)
}

/// R1, R10: deleted and created again on the source, with the mirror running and with it stopped, even when the new
/// log is longer than the old position.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_topic_created_again_is_mirrored_from_its_first_record() {
    let _alone = crate::alone().await;
    let (east, west, mirror) = mirrored("again", &[]).await;
    east.client().delete_topic("again").await;
    east.client().create_topic("again", 1, &[]).await;
    east.client().produce("again", 0, TestRecord::numbered(15)).await;
    let told = event(&mirror, "source_recreated").await;
    assert!(told.to_string().contains("10"), "the old position is named: {told}");
    count(west.client(), "east.again", 25).await;

    mirror.terminate().await;
    east.client().delete_topic("again").await;
    east.client().create_topic("again", 1, &[]).await;
    east.client().produce("again", 0, TestRecord::numbered(40)).await;
    mirror.launch();
    count(west.client(), "east.again", 65).await;
}

/// The same with `on_source_reset: fail`: nothing is written, and the reason is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_topic_created_again_can_be_a_fault() {
    let _alone = crate::alone().await;
    let (east, west, mirror) = mirrored("strict", &["on_source_reset: fail"]).await;
    mirror.terminate().await;
    east.client().delete_topic("strict").await;
    east.client().create_topic("strict", 1, &[]).await;
    east.client().produce("strict", 0, TestRecord::numbered(15)).await;
    mirror.launch();
    wait_for("the partition to be faulted", async || {
        let status = mirror.status().await?;
        let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
        if all.iter().any(|partition| partition["topic"] == "strict" && partition["fault"] == "source_reset")
        {
            Ok(())
        } else {
            Err(status["flows"][0].to_string())
        }
    })
    .await;
    assert_eq!(west.client().end_offsets("east.strict").await, [10]);
}

/// R1, R10: the target topic is deleted under the running mirror, and mirrored again from the first record.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_target_topic_is_mirrored_again() {
    let _alone = crate::alone().await;
    let (east, west, mirror) = mirrored("lost", &["on_target_reset: restart"]).await;
    west.client().delete_topic("east.lost").await;
    event(&mirror, "target_recreated").await;
    east.client().produce("lost", 0, TestRecord::numbered(5)).await;
    assert_eq!(await_exact(east.client(), "lost", west.client(), "east.lost").await, 15);
}

/// R10: retention passes the position while the mirror is down; the range is told, and what is left arrives.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_are_told_with_their_range() {
    let _alone = crate::alone().await;
    let (east, west, mirror) = mirrored("aged", &[]).await;
    mirror.terminate().await;
    east.client().produce("aged", 0, TestRecord::numbered(20)).await;
    east.client().delete_records("aged", 0, 25).await;
    mirror.launch();
    let told = event(&mirror, "retention_overtook").await.to_string();
    assert!(told.contains("10") && told.contains("25"), "the range is named: {told}");
    count(west.client(), "east.aged", 15).await;
}

/// R1, R10: the source log is truncated and grows past the position again: its new records arrive all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_source_log_is_noticed_even_when_it_grew_past_the_position() {
    let _alone = crate::alone().await;
    // Three brokers, so that the controllers go on while the one that leads the topic is down: an election is what
    // raises the leader epoch.
    let east = Cluster::builder("east").brokers(3).start().await;
    let west = Cluster::builder("west").start().await;
    let (here, there) = (east.client(), west.client());
    here.create_topic_with("cut", 1, 1, &[]).await;
    let leader = here.leader("cut", 0).await;
    let broker =
        east.brokers().iter().find(|broker| i32::from(broker.node_id()) == leader).expect("the leader");
    here.produce("cut", 0, TestRecord::numbered(10)).await;
    broker.stop().await;
    let saved = broker.save_data();
    broker.start().await;
    here.produce("cut", 0, TestRecord::numbered(10)).await;
    let flows = flow("flow", "east", "west", &["cut"], &[]);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &[]);
    await_exact(here, "cut", there, "east.cut").await;
    mirror.terminate().await;

    // The disk of the source comes back as it was: offsets 10 to 19 are gone, and others take their place.
    broker.stop().await;
    here.leaderless("cut", 0).await;
    broker.restore_data(&saved);
    broker.start().await;
    let after: Vec<_> = (0..30).map(|n| TestRecord::new("after", &format!("after {n}"))).collect();
    here.produce("cut", 0, after).await;
    mirror.launch();
    let told = event(&mirror, "source_truncated").await.to_string();
    assert!(told.contains("10") && told.contains("20"), "the range is named: {told}");
    count(there, "east.cut", 50).await;
}

/// R3: a second process started by mistake: the first one stops the flow, and nothing is lost or repeated.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_on_one_flow_one_stops() {
    let _alone = crate::alone().await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic("twice", 2, &[]).await;
    let load = crate::common::Load::on(east.client()).topic("twice", 2).rate(2_000).start();
    let flows = flow("flow", "east", "west", &["twice"], &[]);
    let yaml = topology(&[&east, &west], &flows);
    let first = MirrorProcess::start(&yaml, &[]);
    first.ready().await;
    load.progress(2_000).await;
    let second = MirrorProcess::start(&yaml, &[]);
    wait_for("the first process to stop its flow", async || {
        let status = first.status().await?;
        let flow = &status["flows"][0];
        let named = flow["reason"].as_str().is_some_and(|reason| reason.contains("claimed by process"));
        if flow["state"] == "stopped" && named { Ok(()) } else { Err(flow["state"].to_string()) }
    })
    .await;
    second.ready().await;
    load.progress(2_000).await;
    let written = load.stop().await;
    let goal: usize = written.values().map(Vec::len).sum();
    count(west.client(), "east.twice", goal).await;
    verify_exact(east.client(), "twice", west.client(), "east.twice").await;
    assert_eq!(first.terminate().await, Some(0));
    assert_eq!(second.terminate().await, Some(0));
}
