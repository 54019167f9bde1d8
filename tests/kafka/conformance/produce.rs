//! Produce: what is appended, and what is refused.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use mirrormesh::batch::{BatchBuilder, RawBatch};
use mirrormesh::model::Codec;

use super::Subject;
use super::fetch::stored;
use super::raw::{Raw, batch, filled, no_id, text};

const CORRUPT: i16 = 2;
const UNKNOWN_TOPIC: i16 = 3;
const TOO_LARGE: i16 = 10;
const INVALID_ACKS: i16 = 21;
const INVALID_TIMESTAMP: i16 = 32;
const UNSUPPORTED_COMPRESSION: i16 = 76;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_TOPIC_ID: i16 = 100;

/// An hour from now, and another.
const LATE_MS: i64 = 2 * 3_600_000;

/// Writes bytes to a partition.
pub(super) async fn write_in(
    raw: &mut Raw,
    version: i16,
    acks: i16,
    (topic, partition): (&str, i32),
    records: Bytes,
) -> PartitionProduceResponse {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(text(topic).into()).with_partition_data(vec![data]);
    let asked =
        ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let mut answer = raw.ask(version, &asked).await;
    answer.responses.remove(0).partition_responses.remove(0)
}

/// Writes bytes to partition 0, for all replicas to keep.
pub(super) async fn write(raw: &mut Raw, topic: &str, records: Bytes) -> PartitionProduceResponse {
    write_in(raw, 11, -1, (topic, 0), records).await
}

/// A batch with other bytes at a place behind the checksum, which is right.
fn patched(bytes: &Bytes, at: usize, with: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&bytes[..]);
    bytes[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
pub(super) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

pub(super) async fn offsets_follow_each_other(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    for (version, acks, expected) in [(3, 1, 0), (8, -1, 3), (11, -1, 6), (12, 1, 9)] {
        let answer = write_in(&mut raw, version, acks, (&topic, 1), batch(&["a", "b", "c"])).await;
        assert_eq!((answer.error_code, answer.base_offset, answer.log_append_time_ms), (0, expected, -1));
        assert_eq!(answer.log_start_offset, if version < 5 { -1 } else { 0 });
    }
    let batches = stored(&mut raw, &topic, 1, 0).await;
    let heads = batches.iter().map(|batch| (batch.header().base_offset, batch.header().leader_epoch));
    assert_eq!(heads.collect::<Vec<_>>(), [(0, 0), (3, 0), (6, 0), (9, 0)]);
    assert!(batches.iter().all(|batch| batch.verify_crc().is_ok() && batch.records().unwrap().len() == 3));
}

pub(super) async fn a_damaged_batch_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let mut damaged = BytesMut::from(&batch(&["a"])[..]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let answer = write(&mut raw, &topic, damaged.freeze()).await;
    assert_eq!((answer.error_code, answer.base_offset), (CORRUPT, -1));
    assert_eq!(write(&mut raw, &topic, batch(&["a"])).await.base_offset, 0);
}

pub(super) async fn a_large_batch_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[("max.message.bytes", "1000")]).await);
    let overhead = batch(&[""]).len();
    let (fits, large) = ("x".repeat(1_000 - overhead - 2), "x".repeat(1_000 - overhead - 1));
    assert_eq!(batch(&[&fits]).len(), 1_000);
    let answer = write(&mut raw, &topic, batch(&[&large])).await;
    assert_eq!((answer.error_code, answer.base_offset), (TOO_LARGE, -1));
    assert_eq!(write(&mut raw, &topic, batch(&[&fits])).await.base_offset, 0);
}

pub(super) async fn odd_requests_are_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let good = batch(&["a", "b"]);
    let cases = [
        ("nothing", Bytes::new(), INVALID_RECORD),
        ("two batches", [good.clone(), good.clone()].concat().into(), INVALID_RECORD),
        ("an offset", filled(BatchBuilder::new(Codec::None).base_offset(5), &["a"]), INVALID_RECORD),
        ("a marker", patched(&good, 21, &0x20_i16.to_be_bytes()), INVALID_RECORD),
        ("offsets for three", patched(&good, 23, &2_i32.to_be_bytes()), INVALID_RECORD),
        ("a count of three", patched(&good, 57, &3_i32.to_be_bytes()), INVALID_RECORD),
        ("no sequence", filled(BatchBuilder::new(Codec::None).producer(1, 0, -1), &["a"]), INVALID_RECORD),
    ];
    for (what, records, code) in cases {
        let answer = write(&mut raw, &topic, records).await;
        assert_eq!((answer.error_code, answer.base_offset), (code, -1), "{what}");
    }
    let answer = write_in(&mut raw, 11, 2, (&topic, 0), good.clone()).await;
    assert_eq!(answer.error_code, INVALID_ACKS);
    assert_eq!(write(&mut raw, &topic, good).await.base_offset, 0);
}

pub(super) async fn brokers_stamp_where_the_topic_says_so(subject: &Subject) {
    let mut raw = subject.raw().await;
    let topic = subject.topic(1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let before = now_ms();
    let answer = write(&mut raw, &topic, batch(&["a", "b"])).await;
    let stamp = answer.log_append_time_ms;
    assert!(answer.error_code == 0 && (before..=now_ms()).contains(&stamp), "{answer:?}");
    let batches = stored(&mut raw, &topic, 0, 0).await;
    let header = batches[0].header();
    assert!(header.is_append_time() && batches[0].verify_crc().is_ok());
    assert_eq!((header.max_timestamp_ms, header.base_timestamp_ms), (stamp, 1_000));
    assert!(batches[0].records().unwrap().iter().all(|record| record.timestamp_ms == stamp));
}

pub(super) async fn records_without_a_key_are_not_compacted(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[("cleanup.policy", "compact")]).await);
    let mut mixed = BatchBuilder::new(Codec::None);
    mixed.push(1_000, Some(b"key"), Some(b"a"), &[]);
    mixed.push(1_000, None, Some(b"b"), &[]);
    let answer = write(&mut raw, &topic, mixed.build().unwrap()).await;
    assert_eq!((answer.error_code, answer.base_offset), (INVALID_RECORD, -1));
    let named: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(named, [1]);
    let text = answer.record_errors[0].batch_index_error_message.as_ref().unwrap();
    let expected = format!("Compacted topic cannot accept message without key in topic partition {topic}-0");
    assert_eq!(text.as_str(), expected);
    assert!(
        answer.error_message.unwrap().starts_with("One or more records have been rejected due to 1 record")
    );
}

pub(super) async fn times_too_far_ahead_are_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let mut late = BatchBuilder::new(Codec::None);
    late.push(now_ms() + LATE_MS, Some(b"key"), Some(b"a"), &[]);
    let answer = write(&mut raw, &topic, late.build().unwrap()).await;
    assert_eq!(answer.error_code, INVALID_TIMESTAMP);
    assert_eq!(answer.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [0]);
    // Times long ago are fine.
    assert_eq!(write(&mut raw, &topic, batch(&["a"])).await.error_code, 0);
}

pub(super) async fn batches_get_the_compression_of_their_topic(subject: &Subject) {
    let mut raw = subject.raw().await;
    let values = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];
    for (kind, sent, expected) in [
        ("producer", Codec::Snappy, Codec::Snappy),
        ("producer", Codec::None, Codec::None),
        ("zstd", Codec::None, Codec::Zstd),
        ("lz4", Codec::Gzip, Codec::Lz4),
        ("uncompressed", Codec::Lz4, Codec::None),
    ] {
        let topic = subject.topic(1, &[("compression.type", kind)]).await;
        let answer = write(&mut raw, &topic, filled(BatchBuilder::new(sent), &values)).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, 0), "{kind}");
        let batches: Vec<RawBatch> = stored(&mut raw, &topic, 0, 0).await;
        assert_eq!(batches[0].header().codec().unwrap(), expected, "{kind}");
        let read: Vec<_> = batches[0].records().unwrap().into_iter().map(|r| r.value.unwrap()).collect();
        assert_eq!(read, values);
    }
    let topic = subject.topic(1, &[]).await;
    let zstd = filled(BatchBuilder::new(Codec::Zstd), &values);
    let answer = write_in(&mut raw, 6, -1, (&topic, 0), zstd).await;
    assert_eq!(answer.error_code, UNSUPPORTED_COMPRESSION);
}

pub(super) async fn what_is_not_there_can_not_be_written(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let missing = subject.name("missing");
    for place in [(missing.as_str(), 0), (topic.as_str(), 1), (topic.as_str(), -1)] {
        let answer = write_in(&mut raw, 11, -1, place, batch(&["a"])).await;
        assert_eq!((answer.error_code, answer.base_offset), (UNKNOWN_TOPIC, -1), "{place:?}");
    }
    let id = subject.wire.metadata(Some(&[topic.as_str().into()])).await.unwrap().topics[0].id.0;
    for (id, code) in [(id, 0), (no_id(), UNKNOWN_TOPIC_ID)] {
        let data = PartitionProduceData::default().with_index(0).with_records(Some(batch(&["a"])));
        let topic = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![data]);
        let asked =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let answer = raw.ask(13, &asked).await;
        assert_eq!(answer.responses[0].topic_id, id);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code);
    }
}
