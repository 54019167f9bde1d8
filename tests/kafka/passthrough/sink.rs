//! The sink: stored batches of our own making, given to a session and read back from the target.

use std::time::Duration;

use mirrormesh::batch::{BatchBuilder, RawBatch};
use mirrormesh::engine::TargetLimits;
use mirrormesh::formats::ProducerState;
use mirrormesh::model::{BatchInfo, Codec, FaultKind, Segment, TopicPartition, WriteErrorClass};
use mirrormesh::telemetry::clock::now_ms;
use mirrormesh::wire::Wire;

use super::rig::{Rig, Stored, acknowledged, refused, segment, stored, stored_with, with_attributes};
use crate::records::flow::settings;

/// Attribute bits of a batch.
const APPEND_TIME: i16 = 0x08;
const DELETE_HORIZON: i16 = 0x40;

#[tokio::test]
async fn batches_arrive_unopened_in_order_and_each_is_acknowledged() {
    let rig = Rig::new("plain", &[]).await;
    let mut lane = rig.lane(1, None).await;
    let batches: Vec<Stored> =
        (0..200).map(|index| stored(&(index * 10..index * 10 + 10).collect::<Vec<_>>())).collect();
    for batch in &batches {
        rig.write(&lane, batch);
    }
    acknowledged(&mut lane, 2_000).await;
    let expected: Vec<Segment> = (0..200).map(|index| segment(index * 10, index * 10, 10)).collect();
    assert_eq!(lane.seen.segments, expected);
    assert_eq!(rig.values().await, (0..2_000).map(|offset| offset.to_string()).collect::<Vec<_>>());
    assert_eq!(rig.session.producer(&lane.id).expect("it wrote").next_sequence, 2_000);
    rig.end().await;
}

#[tokio::test]
async fn gaps_are_closed_and_a_head_below_the_wanted_offset_is_left_out() {
    let rig = Rig::new("gaps", &[]).await;
    let mut lane = rig.lane(1, None).await;
    let mut head = stored(&[0, 1, 2, 3]);
    head.info.source_base = 2;
    rig.write(&lane, &head);
    let mut compacted = stored(&[10, 11, 15, 20]);
    compacted.info.source_base = 4;
    rig.write(&lane, &compacted);
    rig.write(&lane, &stored(&[30]));
    acknowledged(&mut lane, 31).await;
    let expected =
        [segment(2, 0, 2), segment(10, 2, 2), segment(15, 4, 1), segment(20, 5, 1), segment(30, 6, 1)];
    assert_eq!(lane.seen.segments, expected);
    assert_eq!(rig.values().await, ["2", "3", "10", "11", "15", "20", "30"]);
    rig.end().await;
}

#[tokio::test]
async fn what_the_topic_finds_too_large_is_split() {
    let rig = Rig::new("split", &[("max.message.bytes", "3000")]).await;
    // The session believes in the default: it learns the limit from the answer.
    let mut lane = rig.lane(1, None).await;
    let filler = "x".repeat(400);
    let large =
        |from: i64| stored_with(&(from..from + 20).collect::<Vec<_>>(), Codec::None, &filler, |bytes| bytes);
    for index in 0..8 {
        rig.write(&lane, &large(index * 20));
    }
    acknowledged(&mut lane, 160).await;
    let values = rig.values().await;
    assert_eq!(values, (0..160).map(|offset| format!("{offset}{filler}")).collect::<Vec<_>>());
    assert_eq!(lane.seen.records(), 160);
    rig.end().await;
}

#[tokio::test]
async fn a_record_too_large_even_alone_is_named_and_what_precedes_it_is_there() {
    let rig = Rig::new("large", &[("max.message.bytes", "2000")]).await;
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored(&[0, 1]));
    let mut builder = BatchBuilder::new(Codec::None).base_offset(2);
    builder.push(now_ms(), None, Some(b"2"), &[]);
    builder.push(now_ms(), None, Some(&[b'x'; 5_000]), &[]);
    builder.push(now_ms(), None, Some(b"4"), &[]);
    let bytes = builder.build().expect("there are records");
    let info =
        BatchInfo { source_base: 2, source_next: 5, records: 3, bytes: bytes.len(), ..stored(&[2]).info };
    rig.write(&lane, &Stored { info, bytes });
    rig.write(&lane, &stored(&[5]));
    let (class, kind, text) = refused(&mut lane).await;
    assert_eq!((class, kind), (WriteErrorClass::Refuse, FaultKind::RecordTooLarge), "{text}");
    for part in ["offset 3 of orders-0", rig.topic.as_str(), "max.message.bytes", "at 3"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!(lane.seen.acknowledged, Some(2));
    assert_eq!(rig.values().await, ["0", "1", "2"]);
    rig.end().await;
}

#[tokio::test]
async fn append_time_becomes_the_records_own_and_a_delete_horizon_is_cleared() {
    let rig = Rig::new("flags", &[]).await;
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored_with(&[0, 1], Codec::Lz4, "", with_attributes(APPEND_TIME)));
    rig.write(&lane, &stored_with(&[2, 3], Codec::Lz4, "", with_attributes(DELETE_HORIZON)));
    acknowledged(&mut lane, 4).await;
    assert_eq!(rig.values().await, ["0", "1", "2", "3"]);
    rig.end().await;
}

#[tokio::test]
async fn a_record_without_key_is_refused_by_a_compacted_topic() {
    let rig = Rig::new("keyless", &[("cleanup.policy", "compact")]).await;
    rig.session.set_target_limits(&rig.topic, TargetLimits { compacted: true, ..TargetLimits::default() });
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored(&[0]));
    let mut builder = BatchBuilder::new(Codec::None).base_offset(1);
    builder.push(now_ms(), Some(b"key"), Some(b"1"), &[]);
    builder.push(now_ms(), None, Some(b"2"), &[]);
    let bytes = builder.build().expect("there are records");
    let info =
        BatchInfo { source_base: 1, source_next: 3, records: 2, bytes: bytes.len(), ..stored(&[1]).info };
    rig.write(&lane, &Stored { info, bytes });
    let (class, kind, text) = refused(&mut lane).await;
    assert_eq!((class, kind), (WriteErrorClass::Refuse, FaultKind::MissingKey), "{text}");
    assert!(text.contains("offset 2 of orders-0"), "{text}");
    assert_eq!(lane.seen.acknowledged, Some(1));
    rig.end().await;
}

#[tokio::test]
async fn a_damaged_batch_is_not_written() {
    let rig = Rig::new("damaged", &[]).await;
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored(&[0]));
    let damage = |mut bytes: Vec<u8>| {
        *bytes.last_mut().expect("a batch has bytes") ^= 1;
        bytes
    };
    rig.write(&lane, &stored_with(&[1, 3], Codec::None, "", damage));
    let (class, kind, text) = refused(&mut lane).await;
    assert_eq!((class, kind), (WriteErrorClass::Refuse, FaultKind::CorruptSource), "{text}");
    // One that needs no opening keeps its checksum: the target finds it.
    let mut lane = rig.lane(2, None).await;
    rig.write(&lane, &stored_with(&[1, 2], Codec::None, "", damage));
    let (class, kind, text) = refused(&mut lane).await;
    assert_eq!((class, kind), (WriteErrorClass::Refuse, FaultKind::TargetRefused), "{text}");
    assert_eq!(rig.values().await, ["0"]);
    rig.end().await;
}

#[tokio::test]
async fn the_next_process_goes_on_under_the_saved_producer() {
    let rig = Rig::new("resume", &[]).await;
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored(&[0, 1, 2]));
    acknowledged(&mut lane, 3).await;
    let saved = rig.session.producer(&lane.id).expect("it wrote");
    assert_eq!(saved.next_sequence, 3);
    rig.end().await;

    let next = Rig::on(&rig.client, &rig.topic);
    let mut lane = next.lane(1, Some(ProducerState { next_sequence: 1, ..saved.clone() })).await;
    next.write(&lane, &stored(&[3, 4]));
    acknowledged(&mut lane, 5).await;
    assert_eq!(next.session.producer(&lane.id), Some(ProducerState { next_sequence: 5, ..saved.clone() }));
    let wire = Wire::new("west".into(), &settings(&rig.client)).expect("the settings are sound");
    let target = TopicPartition::new(rig.topic.as_str(), 0);
    let known = wire.describe_producers(&[target]).await.expect("the cluster answers");
    let known = known[0].1.as_ref().expect("the partition is there");
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!((known[0].id, known[0].epoch, known[0].last_sequence), (saved.id, saved.epoch, 4));
    // Opened again in the same session, it goes on as well.
    let mut lane = next.lane(2, Some(saved.clone())).await;
    next.write(&lane, &stored(&[5]));
    acknowledged(&mut lane, 6).await;
    assert_eq!(next.session.producer(&lane.id), Some(ProducerState { next_sequence: 6, ..saved }));
    assert_eq!(next.values().await, ["0", "1", "2", "3", "4", "5"]);
    next.end().await;
}

/// Brokers take any sequence number of a producer they don't know: what was saved is gone on with, so that a request
/// of the dead process that nobody answered and ours exclude each other.
#[tokio::test]
async fn a_saved_producer_that_the_target_does_not_know_is_gone_on_with() {
    let rig = Rig::new("forgotten", &[]).await;
    let saved = ProducerState { id: 1_234_567_890, epoch: 3, next_sequence: i32::MAX - 1 };
    let mut lane = rig.lane(1, Some(saved.clone())).await;
    for offset in 0..20 {
        rig.write(&lane, &stored(&[offset]));
    }
    acknowledged(&mut lane, 20).await;
    assert_eq!(rig.values().await, (0..20).map(|offset| offset.to_string()).collect::<Vec<_>>());
    // The sequence wrapped on the way.
    assert_eq!(rig.session.producer(&lane.id), Some(ProducerState { next_sequence: 18, ..saved }));
    rig.end().await;
}

#[tokio::test]
async fn a_late_request_of_a_dead_process_and_ours_exclude_each_other() {
    let rig = Rig::new("zombie", &[]).await;
    let mut lane = rig.lane(1, None).await;
    rig.write(&lane, &stored(&[0, 1]));
    acknowledged(&mut lane, 2).await;
    let saved = rig.session.producer(&lane.id).expect("it wrote");

    let next = Rig::on(&rig.client, &rig.topic);
    let mut heir = next.lane(1, Some(saved)).await;
    // The dead process was not quite dead: what it still sent lands after the heir looked.
    rig.write(&lane, &stored(&[2, 3]));
    acknowledged(&mut lane, 4).await;
    next.write(&heir, &stored(&[2, 3]));
    let (class, _, text) = refused(&mut heir).await;
    assert_eq!(class, WriteErrorClass::Retry, "{text}");
    // It looks again, and finds everything up to 3.
    let mut heir = next.lane(2, None).await;
    next.write(&heir, &stored(&[4]));
    acknowledged(&mut heir, 5).await;
    // Now the other one's sequence is used up.
    rig.write(&lane, &stored(&[4, 5]));
    let (class, _, text) = refused(&mut lane).await;
    assert_eq!(class, WriteErrorClass::Retry, "{text}");
    assert_eq!(next.values().await, ["0", "1", "2", "3", "4"]);
    rig.end().await;
    next.end().await;
}

#[tokio::test]
async fn a_missing_topic_and_a_lane_opened_anew_are_told_apart() {
    let rig = Rig::new("reopened", &[]).await;
    let lane = rig.lane(1, None).await;
    for offset in 0..50 {
        rig.write(&lane, &stored(&[offset]));
    }
    // Opening waits for what is on its way; what was not sent is dropped. The log has a prefix of it.
    let mut lane = rig.lane(2, None).await;
    let end = rig.client.end_offsets(&rig.topic).await[0];
    let rest: Vec<i64> = (end..60).collect();
    rig.write(&lane, &stored(&rest));
    acknowledged(&mut lane, 60).await;
    assert_eq!(rig.values().await, (0..60).map(|offset| offset.to_string()).collect::<Vec<_>>());
    rig.session.shutdown(Duration::from_secs(10)).await;
    let stale = RawBatch::parse(stored(&[0]).bytes).expect("it is sound");
    assert!(stale.header().is_transactional(), "what was given was of a transaction");
}
