//! What is refused, and what goes on beside it.

use mirrormesh::engine::TargetLimits;
use mirrormesh::model::{FaultKind, WriteErrorClass};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use super::flow::FlowBuilder;
use crate::common::{KafkaClient, TestRecord, pair, topic, wait_for};

const NOW: i64 = 1_700_000_000_000;

/// A topic on each side; the one on west with these settings.
async fn topics(name: &str, configs: &[(&str, &str)]) -> (String, String) {
    let source = topic(name);
    let target = format!("east.{source}");
    let mesh = pair().await;
    mesh.east.client().create_topic(&source, 1, &[("max.message.bytes", "20000000")]).await;
    mesh.west.client().create_topic(&target, 1, configs).await;
    (source, target)
}

async fn values(client: &KafkaClient, topic: &str) -> Vec<usize> {
    let records = client.consume_all(topic).await.swap_remove(0);
    records.into_iter().map(|consumed| consumed.record.value.map_or(0, |value| value.len())).collect()
}

fn sized(sizes: &[usize]) -> Vec<TestRecord> {
    sizes.iter().map(|size| TestRecord::new("k", &"x".repeat(*size)).at(NOW)).collect()
}

/// The records before one that is too large are written; the lane goes on with it once the limit is raised.
#[tokio::test]
async fn a_record_too_large_is_refused_with_all_after_it() {
    let mesh = pair().await;
    let (source, target) = topics("large", &[("max.message.bytes", "3000000")]).await;
    mesh.east.client().produce(&source, 0, sized(&[10, 20, 2_000_000, 30])).await;
    let builder = FlowBuilder::new(mesh.east.client(), mesh.west.client());
    let flow = builder.start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_until(|seen| seen.write_error.is_some()).await;
    assert_eq!((lane.seen.acknowledged, lane.seen.records()), (Some(2), 2));
    let error = lane.seen.write_error.take().expect("it was awaited");
    assert_eq!((error.class, error.fault.kind), (WriteErrorClass::Refuse, FaultKind::RecordTooLarge));
    assert_eq!(error.source_offset, 2);
    for part in ["offset 2", source.as_str(), target.as_str(), "1048588"] {
        assert!(error.fault.what.contains(part), "{part} is missing in: {}", error.fault.what);
    }
    assert_eq!(values(mesh.west.client(), &target).await, [10, 20]);

    flow.session
        .set_target_limits(&target, TargetLimits { max_message_bytes: 3_000_000, ..TargetLimits::default() });
    let mut lane = flow.lane(&source, &target, 2).await;
    assert_eq!(lane.opened.acknowledged, Some((2, 2)));
    lane.fetch(2);
    lane.mirror_to(4).await;
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &target).await, [10, 20, 2_000_000, 30]);
}

#[tokio::test]
async fn a_compacted_target_gets_no_record_without_a_key() {
    let mesh = pair().await;
    let (source, target) = topics("keyless", &[("cleanup.policy", "compact")]).await;
    let mut records = sized(&[1, 2, 3]);
    records[1].key = None;
    mesh.east.client().produce(&source, 0, records).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client())
        .limits(&target, TargetLimits { compacted: true, ..TargetLimits::default() })
        .start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_until(|seen| seen.write_error.is_some()).await;
    let error = lane.seen.write_error.take().expect("it was awaited");
    assert_eq!((error.source_offset, error.fault.kind), (1, FaultKind::MissingKey));
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &target).await, [1]);
}

/// A target that takes only small batches gets small batches, beside others that take large ones.
#[tokio::test]
async fn a_small_limit_makes_small_batches() {
    let mesh = pair().await;
    let (source, target) = topics("small", &[("max.message.bytes", "20000")]).await;
    let sizes: Vec<usize> = (0..300).map(|n| 5_000 + n).chain([19_000]).collect();
    // Noise, so that no codec makes the batches small.
    let noise = |size: &usize| TestRecord::new("k", &crate::common::random_text(*size)).at(NOW);
    mesh.east.client().produce(&source, 0, sizes.iter().map(noise).collect()).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client())
        .limits(&target, TargetLimits { max_message_bytes: 20_000, ..TargetLimits::default() })
        .start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_to(301).await;
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &target).await, sizes);
}

/// R9: what only the broker can refuse ends the session once; in the next one the topic is kept apart, and the
/// others never notice that it goes on being refused, until it is mended.
#[tokio::test]
async fn a_refusing_topic_is_kept_apart() {
    let mesh = pair().await;
    // Nobody told the session of the limit.
    let (bad, bad_copy) = topics("refusing", &[("max.message.bytes", "10000")]).await;
    let (good, good_copy) = topics("accepting", &[]).await;
    mesh.east.client().produce(&bad, 0, vec![noise(50_000)]).await;
    mesh.east.client().produce(&good, 0, sized(&[1])).await;
    let builder = FlowBuilder::new(mesh.east.client(), mesh.west.client());

    let flow = builder.start();
    let mut good_lane = flow.lane(&good, &good_copy, 1).await;
    good_lane.fetch(0);
    good_lane.mirror_to(1).await;
    let mut bad_lane = flow.lane(&bad, &bad_copy, 1).await;
    bad_lane.fetch(0);
    bad_lane.mirror_until(|seen| seen.write_error.is_some()).await;
    let error = bad_lane.seen.write_error.take().expect("it was awaited");
    assert_eq!((error.class, error.fault.kind), (WriteErrorClass::Refuse, FaultKind::RecordTooLarge));
    assert_eq!(error.source_offset, 0);
    let reason = flow.await_lost().await;
    assert!(reason.contains(&bad_copy), "{reason}");
    good_lane.mirror_until(|seen| seen.lost.is_some()).await;
    flow.shutdown().await;

    let flow = builder.start();
    let mut good_lane = flow.lane(&good, &good_copy, 1).await;
    good_lane.fetch(1);
    for generation in 1..4 {
        let mut bad_lane = flow.lane(&bad, &bad_copy, generation).await;
        assert_eq!(bad_lane.opened.acknowledged, None);
        bad_lane.fetch(0);
        bad_lane.mirror_until(|seen| seen.write_error.is_some()).await;
        let kind = bad_lane.seen.write_error.as_ref().map(|error| error.fault.kind);
        assert_eq!(kind, Some(FaultKind::RecordTooLarge));
        mesh.east.client().produce(&good, 0, sized(&[generation as usize])).await;
        good_lane.mirror_to(1 + generation as i64).await;
    }
    assert_eq!(flow.lost(), None);

    let change = AlterConfig::new(ResourceSpecifier::Topic(&bad_copy)).set("max.message.bytes", "100000");
    let changed = mesh.west.client().admin().alter_configs([&change], &AdminOptions::new()).await;
    assert!(changed.is_ok_and(|results| results.iter().all(Result::is_ok)));
    // The controller has the change, the broker a moment later.
    let mut generation = 9;
    wait_for("the mended topic to be written", async || {
        generation += 1;
        let mut bad_lane = flow.lane(&bad, &bad_copy, generation).await;
        bad_lane.fetch(0);
        bad_lane.mirror_until(|seen| seen.write_error.is_some() || seen.acknowledged == Some(1)).await;
        bad_lane.seen.write_error.as_ref().map_or(Ok(()), |error| Err(error.to_string()))
    })
    .await;
    assert_eq!(flow.lost(), None);
    flow.shutdown().await;
    assert_eq!(values(mesh.west.client(), &good_copy).await, [1, 1, 2, 3]);
    assert_eq!(values(mesh.west.client(), &bad_copy).await, [50_000]);
}

fn noise(size: usize) -> TestRecord {
    TestRecord::new("k", &crate::common::random_text(size)).at(NOW)
}
