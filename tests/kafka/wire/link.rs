//! Links: batches written and read unopened, and what brokers remember of who wrote them.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{FetchRequest, ProduceResponse, TopicName as KafkaTopic};
use kafka_protocol::protocol::StrBytes;
use mirrormesh::batch::{BatchBuilder, split};
use mirrormesh::model::{Codec, Isolation, TopicPartition};
use mirrormesh::telemetry::clock::now_ms;
use mirrormesh::wire::{ActiveProducer, Link, OffsetSpec, PartitionPart, ProduceParts, Wire};

use super::{new_topic, wire};
use crate::common::{pair, topic};

const RECORDS: i32 = 100;
const WAIT: Duration = Duration::from_millis(100);

/// A batch that brokers store as it is, but for its offset and leader epoch.
fn batch(producer: (i64, i16), sequence: i32, stamp_ms: i64, codec: Codec) -> Bytes {
    let mut batch = BatchBuilder::new(codec).producer(producer.0, producer.1, sequence);
    for n in 0..RECORDS {
        let value = format!("value {} of the batch at {sequence} ", n).repeat(40);
        batch.push(stamp_ms + i64::from(n), None, Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap()
}

/// The batch with its body in two pieces.
fn part(index: i32, batch: &Bytes) -> PartitionPart {
    let body = vec![batch.slice(61..100), batch.slice(100..)];
    PartitionPart { index, head: batch[..61].try_into().unwrap(), body }
}

/// What became of each partition's batch, by partition: brokers answer in whichever order.
fn results(answer: &ProduceResponse) -> Vec<PartitionProduceResponse> {
    let mut results: Vec<_> =
        answer.responses.iter().flat_map(|topic| topic.partition_responses.clone()).collect();
    results.sort_by_key(|result| result.index);
    results
}

async fn leader_link(wire: &Wire, partitions: &[TopicPartition]) -> Link {
    // Brokers that lead a new partition by Metadata may not know it yet: this is tried until they do.
    let ends: Vec<_> = partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
    for (_, end) in wire.list_offsets(&ends, Isolation::ReadCommitted).await.unwrap() {
        end.unwrap();
    }
    let leaders = wire.learn_leaders(partitions).await.unwrap();
    let leader = leaders[0].1.as_ref().unwrap();
    assert_eq!(wire.known_leader(&partitions[0]), Some(*leader));
    wire.link(leader.broker).await.unwrap()
}

fn fetch_request(session: (i32, i32), topic: &str, from: &[(i32, i64)], forget: &[i32]) -> FetchRequest {
    let name = KafkaTopic(StrBytes::from_string(topic.to_owned()));
    let partitions: Vec<_> = from
        .iter()
        .map(|(index, offset)| {
            FetchPartition::default()
                .with_partition(*index)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(10 << 20)
        })
        .collect();
    let topics = match partitions.is_empty() {
        true => Vec::new(),
        false => vec![FetchTopic::default().with_topic(name.clone()).with_partitions(partitions)],
    };
    let forgotten = match forget {
        [] => Vec::new(),
        forget => vec![ForgottenTopic::default().with_topic(name).with_partitions(forget.to_vec())],
    };
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(WAIT.as_millis()).unwrap())
        .with_min_bytes(1)
        .with_session_id(session.0)
        .with_session_epoch(session.1)
        .with_topics(topics)
        .with_forgotten_topics_data(forgotten)
}

async fn fetch(link: &Link, request: FetchRequest) -> (i32, Vec<PartitionData>) {
    let (version, answer) = link.fetch(WAIT, |_| request).await.unwrap();
    assert_eq!((version, answer.error_code), (12, 0));
    let mut partitions: Vec<_> = answer.responses.into_iter().flat_map(|topic| topic.partitions).collect();
    partitions.sort_by_key(|data| data.partition_index);
    (answer.session_id, partitions)
}

#[tokio::test]
async fn batches_are_written_pipelined_and_read_back_as_they_are() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("linked");
    wire.create_topic(&new_topic(&name, 2, &[]), false).await.unwrap();
    let partitions = [0, 1].map(|index| TopicPartition::new(name.as_str(), index));
    let link = leader_link(&wire, &partitions).await;
    assert_eq!((link.produce_version().unwrap(), link.throttled_until()), (12, None));
    let producer = wire.init_producer_id().await.unwrap();
    let codecs = [Codec::None, Codec::Lz4, Codec::None, Codec::Zstd, Codec::Snappy];
    let batches: Vec<Bytes> =
        (0..).zip(codecs).map(|(n, codec)| batch(producer, n * RECORDS, now_ms(), codec)).collect();
    let parts = |batch: &Bytes| ProduceParts {
        topics: vec![(name.as_str().into(), vec![part(0, batch), part(1, batch)])],
    };
    let mut pending = Vec::new();
    for batch in &batches {
        pending.push(link.produce(parts(batch)).await.unwrap());
    }
    for (n, pending) in (0..).zip(pending) {
        for (index, result) in (0..).zip(results(&pending.answer().await.unwrap())) {
            let expected = (index, 0, n * i64::from(RECORDS));
            assert_eq!((result.index, result.error_code, result.base_offset), expected, "{result:?}");
        }
    }
    // A batch that is there already is not written again.
    let again = link.produce(parts(&batches[4])).await.unwrap().answer().await.unwrap();
    assert!(results(&again).iter().all(|result| (result.error_code, result.base_offset) == (0, 400)));

    let readers = leader_link(&wire, &partitions).await;
    let (session, read) = fetch(&readers, fetch_request((0, 0), &name, &[(0, 0), (1, 100)], &[])).await;
    assert!(session > 0);
    for (data, expected) in read.iter().zip([&batches[..], &batches[1..]]) {
        assert_eq!((data.error_code, data.high_watermark), (0, 500));
        let found = split(data.records.clone().unwrap()).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, written) in found.iter().zip(expected) {
            // Offset and leader epoch are the broker's; its checksum covers all the rest.
            let found = found.bytes();
            assert!(found[16..] == written[16..]);
            assert_eq!((found.len(), &found[8..12]), (written.len(), &written[8..12]));
        }
    }
    // The session goes on: both partitions at their end now, one of them left out.
    let (same, read) = fetch(&readers, fetch_request((session, 1), &name, &[(0, 500)], &[1])).await;
    assert_eq!(same, session);
    assert!(read.iter().all(|data| data.records.as_ref().is_none_or(Bytes::is_empty)), "{read:?}");
    link.produce(parts(&batch(producer, 500, now_ms(), Codec::None))).await.unwrap().answer().await.unwrap();
    let (_, read) = fetch(&readers, fetch_request((session, 2), &name, &[], &[])).await;
    let data: Vec<_> = read.iter().map(|data| (data.partition_index, data.high_watermark)).collect();
    assert_eq!(data, [(0, 600)]);
}

#[tokio::test]
async fn a_leader_remembers_who_wrote() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("remembered");
    wire.create_topic(&new_topic(&name, 2, &[]), false).await.unwrap();
    let partitions = [0, 1].map(|index| TopicPartition::new(name.as_str(), index));
    let link = leader_link(&wire, &partitions).await;
    let producer = wire.init_producer_id().await.unwrap();
    assert_ne!(wire.init_producer_id().await.unwrap().0, producer.0);
    let stamp_ms = now_ms();
    for sequence in [0, RECORDS] {
        let parts = vec![part(0, &batch(producer, sequence, stamp_ms, Codec::Lz4))];
        let parts = ProduceParts { topics: vec![(name.as_str().into(), parts)] };
        let answer = link.produce(parts).await.unwrap().answer().await.unwrap();
        assert_eq!(results(&answer)[0].error_code, 0);
    }
    let answers = wire.describe_producers(&partitions).await.unwrap();
    assert!(answers.iter().map(|(partition, _)| partition).eq(&partitions));
    let expected = ActiveProducer {
        id: producer.0,
        epoch: producer.1,
        last_sequence: 2 * RECORDS - 1,
        last_timestamp_ms: stamp_ms + i64::from(RECORDS) - 1,
    };
    assert_eq!(answers[0].1.as_ref().unwrap(), &[expected]);
    assert_eq!(answers[1].1.as_ref().unwrap(), &[]);
    let gone = TopicPartition::new(topic("nowhere").as_str(), 0);
    let answers = wire.describe_producers(&[gone]).await.unwrap();
    assert!(answers[0].1.as_ref().unwrap_err().is_unknown_topic());
}
