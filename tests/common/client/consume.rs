//! Reading records.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

use super::admin::watermarks;
use super::{KafkaClient, TestRecord};
use crate::common::blocking;

/// After so long without a record, the client has lost its way.
const SILENCE: Duration = Duration::from_secs(30);

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Its offset.
    pub offset: i64,
    /// Key, value, headers, timestamp.
    pub record: TestRecord,
}

/// Which records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Without those of aborted and open transactions.
    ReadCommitted,
    /// All.
    ReadUncommitted,
}

impl KafkaClient {
    /// All records of a topic, per partition, up to the end as it is found (read_committed).
    pub async fn consume_all(&self, topic: &str) -> Vec<Vec<Consumed>> {
        self.consume_all_with(topic, Isolation::ReadCommitted).await
    }

    /// [`Self::consume_all`] with a choice of isolation.
    pub async fn consume_all_with(&self, topic: &str, isolation: Isolation) -> Vec<Vec<Consumed>> {
        let ends = self.end_offsets(topic).await;
        let (client, topic) = (self.clone(), topic.to_owned());
        blocking(move || client.read(&topic, isolation, &ends)).await
    }

    fn read(&self, topic: &str, isolation: Isolation, ends: &[i64]) -> Vec<Vec<Consumed>> {
        let mut config = self.config();
        config
            .set("group.id", "mirrormesh-tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50");
        config.set(
            "isolation.level",
            match isolation {
                Isolation::ReadCommitted => "read_committed",
                Isolation::ReadUncommitted => "read_uncommitted",
            },
        );
        self.insist_with(&format!("reading {topic}"), &config, |consumer| read_to(consumer, topic, ends))
    }
}

/// Reads every partition from its start to its end.
fn read_to(consumer: &BaseConsumer, topic: &str, ends: &[i64]) -> Result<Vec<Vec<Consumed>>, String> {
    let mut list = TopicPartitionList::new();
    for partition in 0..ends.len() {
        let (start, _) = watermarks(consumer, topic, partition)?;
        let partition = i32::try_from(partition).expect("a partition index is an i32");
        list.add_partition_offset(topic, partition, Offset::Offset(start)).expect("the offset is valid");
    }
    consumer.assign(&list).map_err(|error| error.to_string())?;
    let mut records = vec![Vec::new(); ends.len()];
    let mut done: Vec<bool> = ends.iter().map(|end| *end == 0).collect();
    let mut heard = Instant::now();
    while done.contains(&false) {
        match consumer.poll(Duration::from_millis(200)) {
            None if heard.elapsed() > SILENCE => return Err(format!("not read to its ends {ends:?}")),
            None => continue,
            Some(Ok(message)) => {
                let index = usize::try_from(message.partition()).expect("a partition index is positive");
                if message.offset() < ends[index] {
                    records[index].push(to_consumed(&message));
                }
                done[index] |= message.offset() + 1 >= ends[index];
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                done[usize::try_from(partition).expect("a partition index is positive")] = true;
            }
            Some(Err(error)) => return Err(error.to_string()),
        }
        heard = Instant::now();
    }
    Ok(records)
}

fn to_consumed(message: &BorrowedMessage<'_>) -> Consumed {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Consumed {
        offset: message.offset(),
        record: TestRecord {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp_ms: message.timestamp().to_millis(),
        },
    }
}
