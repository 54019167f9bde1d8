//! Fetch, outside of sessions.

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use mirrormesh::batch::{RawBatch, split};
use uuid::Uuid;

use super::Subject;
use super::produce::{write, write_in};
use super::raw::{Raw, batch, no_id, text};

const OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const UNKNOWN_TOPIC_ID: i16 = 100;
/// As the client that has no session and wants none.
const NO_SESSION: i32 = -1;

/// A request for one partition that answers at once.
pub(super) fn asked(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(text(topic).into()).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(NO_SESSION)
        .with_topics(vec![topic])
}

/// What is told of the only partition.
async fn read(raw: &mut Raw, asked: &FetchRequest) -> PartitionData {
    let mut answer = raw.ask(12, asked).await;
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    answer.responses.remove(0).partitions.remove(0)
}

/// The whole batches of records.
fn batches(records: Option<Bytes>) -> Vec<RawBatch> {
    split(records.unwrap_or_default()).map(Result::unwrap).collect()
}

/// What is stored in a partition from an offset on.
pub(super) async fn stored(raw: &mut Raw, topic: &str, partition: i32, offset: i64) -> Vec<RawBatch> {
    batches(read(raw, &asked(topic, partition, offset)).await.records)
}

pub(super) async fn an_empty_log_is_told_as_such(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    for isolation in [0, 1] {
        let data = read(&mut raw, &asked(&topic, 0, 0).with_isolation_level(isolation)).await;
        let ends = (data.high_watermark, data.last_stable_offset, data.log_start_offset);
        assert_eq!((data.error_code, ends), (0, (0, 0, 0)));
        assert!(data.records.unwrap_or_default().is_empty());
        assert_eq!(data.aborted_transactions.map(|aborted| aborted.len()), (isolation == 1).then_some(0));
        assert!(data.preferred_read_replica.0 == -1 && data.diverging_epoch.epoch == -1);
    }
    let missing = subject.name("missing");
    for (topic, partition) in [(&missing, 0), (&topic, 1)] {
        let data = read(&mut raw, &asked(topic, partition, 0)).await;
        let ends = (data.high_watermark, data.last_stable_offset, data.log_start_offset);
        assert_eq!((data.error_code, ends), (UNKNOWN_TOPIC, (-1, -1, -1)));
    }
}

pub(super) async fn a_batch_comes_whole_from_its_middle(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    for values in [["a", "b", "c"], ["d", "e", "f"]] {
        write(&mut raw, &topic, batch(&values)).await;
    }
    for (offset, expected) in [(0, &[0, 3][..]), (2, &[0, 3]), (3, &[3]), (5, &[3]), (6, &[])] {
        let found = stored(&mut raw, &topic, 0, offset).await;
        let bases: Vec<_> = found.iter().map(|batch| batch.header().base_offset).collect();
        assert_eq!(bases, expected, "from {offset}");
    }
}

pub(super) async fn offsets_outside_are_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    write(&mut raw, &topic, batch(&["a", "b"])).await;
    for offset in [3, -1, i64::MAX] {
        let data = read(&mut raw, &asked(&topic, 0, offset)).await;
        let ends = (data.high_watermark, data.last_stable_offset, data.log_start_offset);
        assert_eq!((data.error_code, ends), (OUT_OF_RANGE, (-1, -1, -1)), "from {offset}");
    }
}

pub(super) async fn limits_cut_but_not_the_first_batch(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    let one = batch(&["x".repeat(200).as_str()]);
    for partition in [0, 0, 0, 1] {
        let answer = write_in(&mut raw, 11, -1, (&topic, partition), one.clone()).await;
        assert_eq!(answer.error_code, 0);
    }
    let bytes = i32::try_from(one.len()).unwrap();
    let length = async |raw: &mut Raw, asked: FetchRequest| read(raw, &asked).await.records.unwrap().len();
    let of_partition = |most: i32| {
        let mut asked = asked(&topic, 0, 0);
        asked.topics[0].partitions[0].partition_max_bytes = most;
        asked
    };
    // The first comes whole; what comes behind it is cut.
    for (most, expected) in [(1, 1), (bytes - 1, 1), (bytes, 1), (2 * bytes, 2)] {
        assert_eq!(length(&mut raw, of_partition(most)).await, expected * one.len(), "{most}");
    }
    assert_eq!(length(&mut raw, of_partition(bytes + 10)).await, one.len() + 10);
    assert_eq!(length(&mut raw, asked(&topic, 0, 0).with_max_bytes(1)).await, one.len());

    // A partition behind one with records has no such right.
    let mut both = asked(&topic, 0, 0).with_max_bytes(2 * bytes);
    let second = both.topics[0].partitions[0].clone().with_partition(1);
    both.topics[0].partitions[0].partition_max_bytes = bytes + 10;
    both.topics[0].partitions.push(second);
    let answer = raw.ask(12, &both).await;
    let lengths: Vec<_> = answer.responses[0]
        .partitions
        .iter()
        .map(|data| data.records.as_ref().map_or(0, Bytes::len))
        .collect();
    assert_eq!(lengths, [one.len() + 10, 0]);
    both.max_bytes = 3 * bytes;
    let answer = raw.ask(12, &both).await;
    let lengths: Vec<_> = answer.responses[0]
        .partitions
        .iter()
        .map(|data| data.records.as_ref().map_or(0, Bytes::len))
        .collect();
    assert_eq!(lengths, [one.len() + 10, one.len()]);
}

/// Longer than any test: an answer that comes was not waited out.
const FOR_EVER_MS: i32 = 600_000;

pub(super) async fn an_append_wakes_a_fetch(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    let mut both = asked(&topic, 0, 0).with_max_wait_ms(FOR_EVER_MS);
    let second = both.topics[0].partitions[0].clone().with_partition(1);
    both.topics[0].partitions.push(second);
    raw.send(12, &both).await;
    subject.write(&topic, 1, &["a"]).await;
    let answer = raw.answer::<FetchRequest>(12).await;
    let counts: Vec<_> =
        answer.responses[0].partitions.iter().map(|data| batches(data.records.clone()).len()).collect();
    assert_eq!(counts, [0, 1]);
}

pub(super) async fn a_fetch_waits_for_enough(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let bytes = i32::try_from(batch(&["a"]).len()).unwrap();
    subject.write(&topic, 0, &["a"]).await;
    let patient = asked(&topic, 0, 0).with_max_wait_ms(FOR_EVER_MS).with_min_bytes(2 * bytes);
    raw.send(12, &patient).await;
    subject.write(&topic, 0, &["b"]).await;
    let answer = raw.answer::<FetchRequest>(12).await;
    assert_eq!(batches(answer.responses[0].partitions[0].records.clone()).len(), 2);
    // When the time is up what is there comes.
    let hasty = patient.with_max_wait_ms(50).with_min_bytes(9 * bytes);
    assert_eq!(batches(read(&mut raw, &hasty).await.records).len(), 2);
    // What is wrong is told at once.
    let outside = asked(&topic, 0, 9).with_max_wait_ms(FOR_EVER_MS);
    assert_eq!(read(&mut raw, &outside).await.error_code, OUT_OF_RANGE);
}

pub(super) async fn topics_are_named_by_id(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    subject.write(&topic, 0, &["a"]).await;
    let id = subject.wire.metadata(Some(&[topic.as_str().into()])).await.unwrap().topics[0].id.0;
    for version in 13..=17 {
        for (id, code, count) in
            [(id, 0, 1), (no_id(), UNKNOWN_TOPIC_ID, 0), (Uuid::nil(), UNKNOWN_TOPIC_ID, 0)]
        {
            let mut asked = asked("", 0, 0);
            asked.topics[0].topic_id = id;
            let answer = raw.ask(version, &asked).await;
            assert_eq!((answer.error_code, answer.responses[0].topic_id), (0, id), "version {version}");
            let data = &answer.responses[0].partitions[0];
            assert_eq!((data.error_code, batches(data.records.clone()).len()), (code, count));
        }
    }
}
