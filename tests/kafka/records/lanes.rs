//! Opening, closing, losing.

use std::time::Duration;

use mirrormesh::engine::{LaneEvent, SourceError};
use mirrormesh::model::{FaultKind, Generation, TopicId, WriteErrorClass};

use super::flow::{FlowBuilder, Lane};
use crate::common::{Cluster, KafkaClient, Listener, Proxy, TestRecord, pair, topic, wait_for};

const NOW: i64 = 1_700_000_000_000;

fn numbered(from: usize, count: usize) -> Vec<TestRecord> {
    (from..from + count).map(|n| TestRecord::new(&format!("k-{n}"), &format!("v-{n}")).at(NOW)).collect()
}

async fn values(client: &KafkaClient, topic: &str) -> Vec<String> {
    let records = client.consume_all(topic).await.swap_remove(0);
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.expect("a value")).expect("text");
    records.into_iter().map(|consumed| text(consumed.record.value)).collect()
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("v-{n}")).collect()
}

/// Two topics of one partition, the one on east with so many records.
async fn topics(name: &str, records: usize) -> (String, String) {
    let source = topic(name);
    let target = format!("east.{source}");
    let mesh = pair().await;
    mesh.east.client().create_topic(&source, 1, &[]).await;
    mesh.west.client().create_topic(&target, 1, &[]).await;
    if records > 0 {
        mesh.east.client().produce(&source, 0, numbered(0, records)).await;
    }
    (source, target)
}

#[tokio::test]
async fn a_lane_outlives_the_generation_that_opened_it() {
    let mesh = pair().await;
    let (source, target) = topics("generations", 10).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut first = flow.lane(&source, &target, 1).await;
    first.fetch(0);
    first.mirror_to(10).await;

    let mut second = flow.lane(&source, &target, 2).await;
    assert_eq!(second.opened.acknowledged, Some((10, 10)));
    second.fetch(10);
    mesh.east.client().produce(&source, 0, numbered(10, 5)).await;
    let batches = second.receive_until(|seen| seen.fetched.iter().any(|b| b.source_next == 15)).await;
    for batch in batches {
        // Under the old generation nothing is written, and nothing of it is told to the new one.
        flow.session.write(&first.id, Generation(1), batch);
    }
    flow.session.fetch(&first.id, Generation(1), 0, -1);
    flow.session.stop_fetch(&first.id, Generation(1));
    second.fetch(10);
    second.seen.fetched.clear();
    second.mirror_to(15).await;
    flow.session.close(&second.id, Generation(2)).await;
    assert_eq!(flow.lane(&source, &target, 3).await.opened.acknowledged, Some((15, 15)));
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &target).await, expected(15));
}

/// New records are seen without being asked for, and a fetch starts where it is told.
#[tokio::test]
async fn a_fetch_follows_the_log_and_starts_where_it_is_told() {
    let mesh = pair().await;
    let (source, target) = topics("follow", 10).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    for offset in [7, 3, 9, 0, 5] {
        lane.fetch(offset);
        lane.seen.fetched.clear();
        let batches = lane.receive_until(|seen| seen.fetched.last().is_some_and(|b| b.source_next == 10));
        let batches = batches.await;
        assert_eq!(batches[0].info.source_base, offset);
        assert_eq!(batches.iter().map(|b| i64::from(b.info.records)).sum::<i64>(), 10 - offset);
    }
    mesh.east.client().produce(&source, 0, numbered(10, 1)).await;
    lane.receive_until(|seen| seen.fetched.last().is_some_and(|b| b.source_next == 11)).await;
    flow.shutdown().await;
}

#[tokio::test]
async fn an_offset_outside_the_log_is_told() {
    let mesh = pair().await;
    let (source, target) = topics("range", 10).await;
    mesh.east.client().delete_records(&source, 0, 4).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    for offset in [0, 100] {
        lane.fetch(offset);
        lane.receive_until(|seen| seen.source_error.is_some()).await;
        assert_eq!(lane.seen.source_error.take(), Some(SourceError::OutOfRange { offset }));
    }
    // The lane goes on from an offset that is there.
    lane.fetch(4);
    lane.mirror_to(10).await;
    assert_eq!(lane.seen.records(), 6);
    flow.shutdown().await;
}

/// R9: a source topic that is gone, and a target topic that is missing, stop their own lanes only.
#[tokio::test]
async fn missing_topics_stop_only_their_lanes() {
    let mesh = pair().await;
    let (source, target) = topics("good", 1).await;
    let (orphan, unused) = topics("orphan", 3).await;
    mesh.west.client().delete_topic(&unused).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();

    let mut good = flow.lane(&source, &target, 1).await;
    let mut gone = flow.lane(&topic("no-such"), &target, 1).await;
    let mut homeless = flow.lane(&orphan, &unused, 1).await;
    good.fetch(0);
    gone.fetch(0);
    homeless.fetch(0);
    gone.receive_until(|seen| seen.source_error.is_some()).await;
    assert_eq!(gone.seen.source_error, Some(SourceError::UnknownPartition));
    homeless.mirror_until(|seen| seen.write_error.is_some()).await;
    let error = homeless.seen.write_error.take().expect("it was awaited");
    assert_eq!((error.class, error.fault.kind), (WriteErrorClass::Retry, FaultKind::TargetMissing));
    assert_eq!(error.source_offset, 0);

    mesh.east.client().produce(&source, 0, numbered(1, 9)).await;
    good.mirror_to(10).await;
    assert_eq!(flow.lost(), None);

    // Once the topic is there the lane goes on by itself.
    mesh.west.client().create_topic(&unused, 1, &[]).await;
    wait_for("the created topic to be written", async || {
        let generation = homeless.generation.next();
        homeless = flow.lane(&orphan, &unused, generation.0).await;
        assert_eq!(homeless.opened.acknowledged, None, "what happened to the writes is not known");
        homeless.fetch(0);
        homeless.mirror_until(|seen| seen.write_error.is_some() || seen.acknowledged == Some(3)).await;
        homeless.seen.write_error.as_ref().map_or(Ok(()), |error| Err(error.to_string()))
    })
    .await;
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &unused).await, expected(3));
    assert_eq!(values(mesh.west.client(), &target).await, expected(10));
}

/// R11: after an orderly end every write that was given is answered, and nothing else is on the target.
#[tokio::test]
async fn a_shutdown_answers_what_was_given() {
    let mesh = pair().await;
    let (source, target) = topics("shutdown", 20_000).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_until(|seen| seen.fetched.len() > 3).await;
    flow.shutdown().await;
    lane.receive_until(|seen| seen.lost.is_some()).await;
    let acknowledged = lane.seen.acknowledged.expect("batches were written");
    assert_eq!(lane.seen.records(), acknowledged as u64);
    assert_eq!(flow.lost(), None, "an end that was asked for is not a loss");
    let arrived = values(mesh.west.client(), &target).await;
    assert_eq!(arrived, expected(acknowledged as usize));
    assert!(flow.session.open(spec_of(&lane)).await.is_err(), "the session has ended");
}

fn spec_of(lane: &Lane) -> mirrormesh::engine::LaneSpec {
    mirrormesh::engine::LaneSpec {
        source: lane.id.clone(),
        target: lane.id.clone(),
        source_topic_id: TopicId::default(),
        target_topic_id: TopicId::default(),
        generation: lane.generation.next(),
        producer: None,
        port: std::sync::Arc::new(|_, _| {}),
    }
}

/// R11: an end without patience leaves a prefix on the target, at least what was acknowledged.
#[tokio::test]
async fn a_hasty_end_leaves_a_prefix() {
    let mesh = pair().await;
    let (source, target) = topics("hasty", 20_000).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_until(|seen| seen.fetched.len() > 3).await;
    flow.session.shutdown(Duration::ZERO).await;
    lane.receive_until(|seen| seen.lost.is_some()).await;
    let acknowledged = lane.seen.acknowledged.unwrap_or(0) as usize;
    let arrived = values(mesh.west.client(), &target).await;
    assert!(arrived.len() >= acknowledged);
    assert_eq!(arrived, expected(arrived.len()));
}

/// Dropping a session tells its lanes, and frees what its batches held.
#[tokio::test]
async fn a_dropped_session_is_a_lost_one() {
    let mesh = pair().await;
    let (source, target) = topics("dropped", 1_000).await;
    let builder = FlowBuilder::new(mesh.east.client(), mesh.west.client());
    let flow = builder.start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_until(|seen| !seen.fetched.is_empty()).await;
    let Lane { session, mut seen, mut events, .. } = lane;
    drop((flow, session));
    while seen.lost.is_none() {
        let event = tokio::time::timeout(crate::common::CEILING, events.recv()).await.expect("it is told");
        if let Some((_, LaneEvent::SessionLost(reason))) = event {
            seen.lost = Some(reason);
        }
    }
    drop(events);
    wait_for("the budget to be free again", async || match builder.budget.in_flight_bytes() {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes are held")),
    })
    .await;
}

/// A lane is opened only when the older writes are answered, however long that takes.
#[tokio::test]
async fn an_open_waits_for_older_writes() {
    let west = Cluster::builder("lanes").proxied().start().await;
    let mesh = pair().await;
    let (source, target) = (topic("waits"), "copy");
    mesh.east.client().create_topic(&source, 1, &[]).await;
    west.client().create_topic(target, 1, &[]).await;
    let link = KafkaClient::new(&west.bootstrap_at(Listener::Link));
    let flow = FlowBuilder::new(mesh.east.client(), &link).start();
    let mut lane = flow.lane(&source, target, 1).await;
    mesh.east.client().produce(&source, 0, numbered(0, 5)).await;
    lane.fetch(0);
    lane.mirror_to(5).await;

    west.link(Proxy::stall);
    mesh.east.client().produce(&source, 0, numbered(5, 5)).await;
    lane.mirror_until(|seen| seen.fetched.last().is_some_and(|b| b.source_next == 10)).await;
    let batch = lane.seen.fetched.last().copied();
    assert_eq!(batch.map(|b| b.source_next), Some(10));
    let opening = tokio::time::timeout(Duration::from_millis(300), flow.lane(&source, target, 2));
    assert!(opening.await.is_err(), "the write of the first generation is not answered");
    west.link(Proxy::flow);
    let mut lane = flow.lane(&source, target, 3).await;
    assert_eq!(lane.opened.acknowledged, Some((10, 10)));

    // Broker killed under load: the same session goes on, exactly once.
    lane.fetch(10);
    mesh.east.client().produce(&source, 0, numbered(10, 5_000)).await;
    lane.mirror_until(|seen| seen.acknowledged.is_some()).await;
    west.kill();
    mesh.east.client().produce(&source, 0, numbered(5_010, 500)).await;
    west.start().await;
    lane.mirror_to(5_510).await;
    flow.shutdown().await;
    assert_eq!(values(west.client(), target).await, expected(5_510));
}
