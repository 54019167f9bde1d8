//! Logs that are not what they were: re-created, overtaken, truncated; and two processes on one flow.

use serde_json::Value;

use crate::common::topologies::{flow, topology_as};
use crate::common::{
    Cluster, KafkaClient, Listener, Load, TestRecord, Twin, await_exact, twins, verify_exact, wait_for,
};

/// Waits for an event of this name about this topic and returns it. Others may come first: the mirror's own
/// heartbeats topic is on the same clusters.
async fn event(twin: &Twin, name: &str, topic: &str) -> String {
    wait_for(&format!("{:?} to tell the event {name} of {topic}", twin.engine), async || {
        let (code, body) = twin.mirror.get("/events").await?;
        if code != 200 {
            return Err(format!("{code} {body}"));
        }
        let events: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let all = events["events"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|event| event["event"] == name && event["topic"] == topic);
        found.map(|event| event.to_string()).ok_or(body)
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

/// The copy of each engine has this many records.
async fn counts(west: &Cluster, twins: &[Twin], topic: &str, goal: usize) {
    for twin in twins {
        count(west.client(), &twin.remote(topic), goal).await;
    }
}

async fn terminate(twins: &[Twin]) {
    for twin in twins {
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
}

fn launch(twins: &[Twin]) {
    twins.iter().for_each(|twin| twin.mirror.launch());
}

/// A mirror of this topic per engine.
fn mirrors(east: &Cluster, west: &Cluster, topic: &str, more: &[&str]) -> [Twin; 2] {
    twins("east", &[], |source| {
        let flows = flow("flow", source, "west", &[topic], more);
        topology_as(&[(source, east), ("west", west)], Listener::Internal, &flows)
    })
}

/// A clean pair with one topic of ten records, mirrored by both engines.
async fn mirrored(topic: &str, more: &[&str]) -> (Cluster, Cluster, [Twin; 2]) {
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic(topic, 1, &[]).await;
    east.client().produce(topic, 0, TestRecord::numbered(10)).await;
    let twins = mirrors(&east, &west, topic, more);
    for twin in &twins {
        twin.mirror.ready().await;
        await_exact(east.client(), topic, west.client(), &twin.remote(topic)).await;
    }
    (east, west, twins)
}

/// R1, R10: deleted and created again on the source, with the mirror running and with it stopped, even when the new
/// log is longer than the old position.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_topic_created_again_is_mirrored_from_its_first_record() {
    let _seats = crate::seats(2).await;
    let (east, west, twins) = mirrored("again", &[]).await;
    east.client().delete_topic("again").await;
    east.client().create_topic("again", 1, &[]).await;
    east.client().produce("again", 0, TestRecord::numbered(15)).await;
    for twin in &twins {
        let told = event(twin, "source_recreated", "again").await;
        assert!(told.contains("10"), "the old position is named: {told}");
    }
    counts(&west, &twins, "again", 25).await;

    terminate(&twins).await;
    east.client().delete_topic("again").await;
    east.client().create_topic("again", 1, &[]).await;
    east.client().produce("again", 0, TestRecord::numbered(40)).await;
    launch(&twins);
    counts(&west, &twins, "again", 65).await;
}

/// The same with `on_source_reset: fail`: nothing is written, and the reason is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_topic_created_again_can_be_a_fault() {
    let _seats = crate::seats(2).await;
    let (east, west, twins) = mirrored("strict", &["on_source_reset: fail"]).await;
    terminate(&twins).await;
    east.client().delete_topic("strict").await;
    east.client().create_topic("strict", 1, &[]).await;
    east.client().produce("strict", 0, TestRecord::numbered(15)).await;
    launch(&twins);
    for twin in &twins {
        wait_for(&format!("the partition of {:?} to be faulted", twin.engine), async || {
            let status = twin.mirror.status().await?;
            let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
            let faulted =
                |partition: &Value| partition["topic"] == "strict" && partition["fault"] == "source_reset";
            if all.iter().any(faulted) { Ok(()) } else { Err(status["flows"][0].to_string()) }
        })
        .await;
        assert_eq!(west.client().end_offsets(&twin.remote("strict")).await, [10]);
    }
}

/// R1, R10: the target topic is deleted under the running mirror, and mirrored again from the first record.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_target_topic_is_mirrored_again() {
    let _seats = crate::seats(2).await;
    let (east, west, twins) = mirrored("lost", &["on_target_reset: restart"]).await;
    for twin in &twins {
        west.client().ask_to_delete_topic(&twin.remote("lost")).await;
    }
    for twin in &twins {
        event(twin, "target_recreated", "lost").await;
    }
    east.client().produce("lost", 0, TestRecord::numbered(5)).await;
    for twin in &twins {
        assert_eq!(await_exact(east.client(), "lost", west.client(), &twin.remote("lost")).await, 15);
    }
}

/// R10: retention passes the position while the mirror is down; the range is told, and what is left arrives.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_are_told_with_their_range() {
    let _seats = crate::seats(2).await;
    let (east, west, twins) = mirrored("aged", &[]).await;
    terminate(&twins).await;
    east.client().produce("aged", 0, TestRecord::numbered(20)).await;
    east.client().delete_records("aged", 0, 25).await;
    launch(&twins);
    for twin in &twins {
        let told = event(twin, "retention_overtook", "aged").await;
        assert!(told.contains("10") && told.contains("25"), "the range is named: {told}");
    }
    counts(&west, &twins, "aged", 15).await;
}

/// R1, R10: the source log is truncated and grows past the position again: its new records arrive all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_source_log_is_noticed_even_when_it_grew_past_the_position() {
    let _seats = crate::seats(4).await;
    // Three brokers, so that the controllers go on while the one that leads the topic is down: an election is what
    // raises the leader epoch.
    let east = Cluster::builder("east").brokers(3).start().await;
    let west = Cluster::builder("west").start().await;
    let here = east.client();
    here.create_topic_with("cut", 1, 1, &[]).await;
    let leader = here.leader("cut", 0).await;
    let broker =
        east.brokers().iter().find(|broker| i32::from(broker.node_id()) == leader).expect("the leader");
    here.produce("cut", 0, TestRecord::numbered(10)).await;
    broker.stop().await;
    let saved = broker.save_data();
    broker.start().await;
    here.produce("cut", 0, TestRecord::numbered(10)).await;
    let twins = mirrors(&east, &west, "cut", &[]);
    for twin in &twins {
        await_exact(here, "cut", west.client(), &twin.remote("cut")).await;
        an_epoch_is_saved(&west, twin, "cut", 20).await;
    }
    terminate(&twins).await;

    // The disk of the source comes back as it was: offsets 10 to 19 are gone, and others take their place.
    broker.stop().await;
    here.leaderless("cut", 0).await;
    broker.restore_data(&saved);
    broker.start().await;
    let after: Vec<_> = (0..30).map(|n| TestRecord::new("after", &format!("after {n}"))).collect();
    here.produce("cut", 0, after).await;
    launch(&twins);
    for twin in &twins {
        let told = event(twin, "source_truncated", "cut").await;
        assert!(told.contains("10") && told.contains("20"), "the range is named: {told}");
    }
    counts(&west, &twins, "cut", 50).await;
}

/// Waits until the saved position of partition 0 stands at `next` and names the epoch of the source's leader.
///
/// Without an epoch nobody could tell that the log grew past the position under another leader. librdkafka does not
/// hand out epochs, so with the records engine a position gets one only when the next look at the cluster shows
/// that the leader is still the same; a mirror that is stopped earlier saves none.
async fn an_epoch_is_saved(west: &Cluster, twin: &Twin, topic: &str, next: i64) {
    let positions = format!("__mirrormesh-positions.{}", twin.source);
    let key = serde_json::json!(["position", "flow", topic, 0]);
    wait_for(&format!("the position of {:?} to name an epoch", twin.engine), async || {
        let entries = west.client().consume_all(&positions).await.concat();
        let of_topic = entries.iter().rev().map(|consumed| &consumed.record).find(|record| {
            let found = record.key.as_deref().map(serde_json::from_slice::<Value>);
            found.is_some_and(|found| found.is_ok_and(|found| found == key))
        });
        let value = of_topic.and_then(|record| record.value.as_deref()).ok_or("none is saved")?;
        let position: Value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        let epoch = position["source_epoch"].as_i64().ok_or_else(|| position.to_string())?;
        if position["source_next"] == next && epoch >= 0 { Ok(()) } else { Err(position.to_string()) }
    })
    .await;
}

/// R3: a second process started by mistake: the first one stops the flow, and nothing is lost or repeated.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_on_one_flow_one_stops() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    east.client().create_topic("twice", 2, &[]).await;
    let load = Load::on(east.client()).topic("twice", 2).rate(2_000).start();
    let first = mirrors(&east, &west, "twice", &[]);
    for twin in &first {
        twin.mirror.ready().await;
    }
    load.progress(2_000).await;
    let second = mirrors(&east, &west, "twice", &[]);
    for twin in &first {
        wait_for(&format!("the first process of {:?} to stop its flow", twin.engine), async || {
            let status = twin.mirror.status().await?;
            let flow = &status["flows"][0];
            let named = flow["reason"].as_str().is_some_and(|reason| reason.contains("claimed by process"));
            if flow["state"] == "stopped" && named { Ok(()) } else { Err(flow["state"].to_string()) }
        })
        .await;
    }
    for twin in &second {
        twin.mirror.ready().await;
    }
    load.progress(2_000).await;
    let written = load.stop().await;
    let goal: usize = written.values().map(Vec::len).sum();
    for twin in &second {
        count(west.client(), &twin.remote("twice"), goal).await;
        verify_exact(east.client(), "twice", west.client(), &twin.remote("twice")).await;
    }
    terminate(&first).await;
    terminate(&second).await;
}
