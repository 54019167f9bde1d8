//! Producer ids: new ones, and what leaders know of those that wrote.

use std::collections::HashMap;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::PartitionResponse;
use kafka_protocol::messages::{DescribeProducersRequest, InitProducerIdRequest};

use super::call::Call;
use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::by_topic;
use super::routing::in_order;
use crate::model::TopicPartition;

/// A producer that a leader remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: i64,
    /// Its latest epoch.
    pub epoch: i16,
    /// Sequence of the last record it wrote; −1 when that was only a marker.
    pub last_sequence: i32,
    /// Timestamp of the last batch it wrote, in milliseconds; the broker forgets the producer by it.
    pub last_timestamp_ms: i64,
}

impl Wire {
    /// Asks for a producer id and epoch for an idempotent producer without transactions.
    ///
    /// A cluster that has just started is asked again, within the request timeout. Cancel safe: an id that nobody
    /// got to know is never used.
    pub async fn init_producer_id(&self) -> Result<(i64, i16), WireError> {
        let build = |version, _: &_| init_request(version);
        self.call_any(build, |answer| match answer.error_code.err() {
            None => Ok((answer.producer_id.0, answer.producer_epoch)),
            Some(code) => Err(self.refused(code, None)),
        })
        .await
    }

    /// Asks the leaders which producers they remember, many partitions at once (KIP-664).
    ///
    /// Answers come in the order of the question, each with its own error: [`WireError::is_unsupported`] from brokers
    /// before 2.8. The call fails as a whole only if nobody tells who leads. Cancel safe.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<Vec<ActiveProducer>, WireError>)>, WireError> {
        self.by_leader(
            partitions,
            |partition| partition,
            |_| 0,
            self.retry(),
            async |connection, asks, left| {
                let asked = || asks.iter().map(|ask| &partitions[ask.index]);
                let answer = connection.call(left, |_| describe_request(asked())).await?;
                let mut found = HashMap::new();
                for topic in answer.topics {
                    for partition in topic.partitions {
                        let place = (topic.name.to_string(), partition.partition_index);
                        let producers = self.read_producers(&partition).map_err(|error| {
                            error.at(connection.broker()).during(DescribeProducersRequest::NAME)
                        });
                        found.insert(place, producers);
                    }
                }
                Ok(in_order(&connection, found, asked().cloned()))
            },
        )
        .await
    }

    fn read_producers(&self, partition: &PartitionResponse) -> Result<Vec<ActiveProducer>, WireError> {
        if let Some(code) = partition.error_code.err() {
            return Err(self.refused(code, partition.error_message.as_deref()));
        }
        let read = |producer: &kafka_protocol::messages::describe_producers_response::ProducerState| {
            let epoch = producer.producer_epoch;
            Ok(ActiveProducer {
                id: producer.producer_id.0,
                // Epochs have 16 bits everywhere else.
                epoch: i16::try_from(epoch)
                    .map_err(|_| self.error(WireErrorKind::Protocol(format!("producer epoch {epoch}"))))?,
                last_sequence: producer.last_sequence,
                last_timestamp_ms: producer.last_timestamp,
            })
        };
        partition.active_producers.iter().map(read).collect()
    }
}

fn init_request(version: i16) -> InitProducerIdRequest {
    let request = InitProducerIdRequest::default()
        // An empty one is not none: brokers refuse it.
        .with_transactional_id(None)
        // Without transactions it is not looked at; Java sends this.
        .with_transaction_timeout_ms(i32::MAX);
    match version {
        ..3 => request,
        _ => request.with_producer_id((-1).into()).with_producer_epoch(-1),
    }
}

fn describe_request<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> DescribeProducersRequest {
    let topics = by_topic(partitions.map(|partition| (partition, partition.partition)))
        .into_iter()
        .map(|(name, indexes)| TopicRequest::default().with_name(name).with_partition_indexes(indexes));
    DescribeProducersRequest::default().with_topics(topics.collect())
}
