//! Consumers as programs have them: members of a group that read on from what it committed.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::common::{CEILING, Consumed, KafkaClient, blocking, wait_for};

/// A record as a consumer reads it: key and value as text; `None` is a tombstone.
pub type Read = (String, Option<String>);

/// Joins the group, reads on from its commits (or the first record, where it has none) until it has `most` records or
/// all there are, commits, and leaves. Returns the records in their order, per partition.
///
/// `fresh` says whether the group has never read the topic; if it should have, a missing commit fails the test.
pub async fn read_on(
    client: &KafkaClient,
    group: &str,
    topic: &str,
    most: usize,
    fresh: bool,
) -> Vec<Vec<Read>> {
    let partitions = client.end_offsets(topic).await.len();
    let (client, group, topic) = (client.clone(), group.to_owned(), topic.to_owned());
    blocking(move || {
        let mut config = client.config();
        config
            .set("group.id", &group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("auto.offset.reset", if fresh { "earliest" } else { "error" });
        let consumer: BaseConsumer = config.create().expect("the settings are sound");
        consumer.subscribe(&[&topic]).expect("the name is sound");
        let mut read = vec![Vec::new(); partitions];
        let mut ended = vec![false; partitions];
        let deadline = Instant::now() + CEILING;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut said = None;
        while ended.contains(&false) && read.iter().map(Vec::len).sum::<usize>() < most {
            assert!(
                Instant::now() < deadline,
                "{group}: {topic} not read in {CEILING:?}: {ended:?}, {said:?}"
            );
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    let record = (text(message.key().unwrap_or_default()), message.payload().map(text));
                    read[usize::try_from(message.partition()).expect("an index")].push(record);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended[usize::try_from(partition).expect("an index")] = true;
                }
                // Connections that a busy broker drops are made anew by the client.
                Some(Err(error)) if is_of_connection(&error) => said = Some(error),
                Some(Err(error)) => panic!("{group}: reading {topic}: {error}"),
            }
        }
        // Where it would go on; on a partition that it has never had a record of, at the start, as Java's consumer does.
        let mut list = TopicPartitionList::new();
        for element in consumer.position().expect("it is assigned").elements() {
            let at = match element.offset() {
                Offset::Offset(offset) => offset,
                _ if fresh => 0,
                _ => continue,
            };
            list.add_partition_offset(&topic, element.partition(), Offset::Offset(at))
                .expect("the offset is valid");
        }
        if list.count() > 0 {
            consumer.commit(&list, CommitMode::Sync).unwrap_or_else(|error| panic!("{group}: {error}"));
        }
        read
    })
    .await
}

fn is_of_connection(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

/// How many records of each partition lie before what the group has committed there.
pub async fn places(client: &KafkaClient, group: &str, topic: &str) -> Vec<Option<usize>> {
    let records = client.consume_all(topic).await;
    let committed = client.committed(group, topic).await;
    let place = |(records, offset): (&Vec<Consumed>, Option<i64>)| {
        offset.map(|offset| records.iter().filter(|record| record.offset < offset).count())
    };
    records.iter().zip(committed).map(place).collect()
}

/// Waits until the group's commits mean these places.
pub async fn await_places(client: &KafkaClient, group: &str, topic: &str, expected: &[usize]) {
    let expected: Vec<_> = expected.iter().map(|place| Some(*place)).collect();
    wait_for(&format!("{group} to be at {expected:?} of {topic}"), async || {
        match places(client, group, topic).await {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

/// All records of a topic, as consumers read them.
pub async fn all_records(client: &KafkaClient, topic: &str) -> Vec<Vec<Read>> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let read =
        |consumed: Consumed| (text(consumed.record.key.unwrap_or_default()), consumed.record.value.map(text));
    let records = client.consume_all(topic).await;
    records.into_iter().map(|partition| partition.into_iter().map(read).collect()).collect()
}
