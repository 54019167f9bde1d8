//! Where logs start and end: ListOffsets and OffsetForLeaderEpoch.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};

use super::call::Call;
use super::client::Wire;
use super::connection::Connection;
use super::error::WireError;
use super::names::by_topic;
use super::retry::Retry;
use super::routing::{Ask, in_order};
use crate::model::{EpochEnd, Isolation, TopicPartition};

/// Which offset of a partition to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// Where the log starts.
    Earliest,
    /// Up to where it can be read: the high watermark, or the last stable offset under read_committed.
    Latest,
    /// Where the leader's log ends, replicated or not (replica id −2, as Kafka's own debugging consumer).
    LogEnd,
    /// The first record with this timestamp (milliseconds since the epoch) or a later one.
    Timestamp(i64),
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; −1 when there is none (no record that late).
    pub offset: i64,
    /// The record's timestamp, for a look-up by timestamp; −1 otherwise.
    pub timestamp_ms: i64,
    /// Leader epoch of the record at that offset; −1 when it is not known.
    pub leader_epoch: i32,
}

/// A question where an epoch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochQuery {
    /// The partition.
    pub partition: TopicPartition,
    /// The epoch to look up.
    pub epoch: i32,
    /// The partition's present epoch as the asker knows it; −1 when it doesn't.
    pub current_epoch: i32,
}

const CONSUMER: i32 = -1;
const DEBUGGING_CONSUMER: i32 = -2;

impl OffsetSpec {
    /// The number in the request's `timestamp` field.
    fn timestamp(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest | Self::LogEnd => -1,
            Self::Timestamp(at_ms) => at_ms,
        }
    }

    fn replica(self) -> i32 {
        if self == Self::LogEnd { DEBUGGING_CONSUMER } else { CONSUMER }
    }
}

/// The number of an isolation level in requests.
pub(super) fn isolation_level(isolation: Isolation) -> i8 {
    match isolation {
        Isolation::ReadUncommitted => 0,
        Isolation::ReadCommitted => 1,
    }
}

impl Wire {
    /// Looks up offsets, many at once: one request per leading broker, all brokers concurrently.
    ///
    /// Answers come in the order of the queries, each with its own error; a partition may be asked about more
    /// than once. The call fails as a whole only if nobody tells who leads. It ends when all are answered: one
    /// partition without a leader holds up the others, as long as a request may take.
    pub async fn list_offsets(
        &self,
        queries: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, WireError>)>, WireError> {
        self.listed(queries, isolation, self.retry()).await
    }

    /// Like [`Wire::list_offsets`], but partitions whose leader moved are asked about again for this long only: they
    /// must not hold up the others. Zero asks once.
    pub async fn list_offsets_within(
        &self,
        patience: Duration,
        queries: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, WireError>)>, WireError> {
        self.listed(queries, isolation, self.retry_within(patience)).await
    }

    async fn listed(
        &self,
        queries: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
        retry: Retry,
    ) -> Result<Vec<(TopicPartition, Result<ListedOffset, WireError>)>, WireError> {
        let kind = |(_, spec): &(TopicPartition, OffsetSpec)| u8::from(*spec == OffsetSpec::LogEnd);
        self.by_leader(
            queries,
            |(partition, _)| partition,
            kind,
            retry,
            async |connection, asks, left| {
                let replica = asks.first().map_or(CONSUMER, |ask| queries[ask.index].1.replica());
                let answer = connection
                    .call(left, |version| list_offsets_request(version, queries, &asks, replica, isolation))
                    .await?;
                let mut found = HashMap::new();
                for topic in answer.topics {
                    for partition in topic.partitions {
                        let listed = ListedOffset {
                            offset: partition.offset,
                            timestamp_ms: partition.timestamp,
                            leader_epoch: partition.leader_epoch,
                        };
                        let result =
                            self.check::<ListOffsetsRequest, _>(&connection, partition.error_code, listed);
                        found.insert((topic.name.to_string(), partition.partition_index), result);
                    }
                }
                Ok(in_order(&connection, found, asks.iter().map(|ask| queries[ask.index].0.clone())))
            },
        )
        .await
    }

    /// Looks up where epochs ended, many at once, each tried once; like [`Wire::list_offsets`] otherwise.
    ///
    /// The leader's epoch is only compared (and a stale leader found out) where the query gives `current_epoch`.
    pub async fn epoch_ends_once(
        &self,
        queries: &[EpochQuery],
    ) -> Result<Vec<(TopicPartition, Result<EpochEnd, WireError>)>, WireError> {
        self.by_leader(
            queries,
            |query| &query.partition,
            |_| 0,
            self.retry_within(Duration::ZERO),
            async |connection, asks, left| {
                let answer = connection.call(left, |version| epoch_request(version, queries, &asks)).await?;
                let mut found = HashMap::new();
                for topic in answer.topics {
                    for partition in topic.partitions {
                        let end =
                            EpochEnd { epoch: partition.leader_epoch, end_offset: partition.end_offset };
                        let result = self.check::<OffsetForLeaderEpochRequest, _>(
                            &connection,
                            partition.error_code,
                            end,
                        );
                        found.insert((topic.topic.to_string(), partition.partition), result);
                    }
                }
                Ok(in_order(&connection, found, asks.iter().map(|ask| queries[ask.index].partition.clone())))
            },
        )
        .await
    }

    fn check<C: Call, A>(&self, connection: &Connection, code: i16, answer: A) -> Result<A, WireError> {
        match code.err() {
            None => Ok(answer),
            Some(code) => Err(self.refused(code, None).at(connection.broker()).during(C::NAME)),
        }
    }
}

fn list_offsets_request(
    version: i16,
    queries: &[(TopicPartition, OffsetSpec)],
    asks: &[Ask],
    replica: i32,
    isolation: Isolation,
) -> ListOffsetsRequest {
    let items = asks.iter().map(|ask| {
        let (partition, spec) = &queries[ask.index];
        let mut item = ListOffsetsPartition::default();
        item.partition_index = partition.partition;
        item.timestamp = spec.timestamp();
        if version >= 4 {
            item.current_leader_epoch = ask.leader_epoch;
        }
        (partition, item)
    });
    let topics = by_topic(items)
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic::default().with_name(name).with_partitions(partitions));
    let mut request =
        ListOffsetsRequest::default().with_replica_id(replica.into()).with_topics(topics.collect());
    // Version 1 knows no isolation: it is older than transactions.
    if version >= 2 {
        request.isolation_level = isolation_level(isolation);
    }
    request
}

fn epoch_request(version: i16, queries: &[EpochQuery], asks: &[Ask]) -> OffsetForLeaderEpochRequest {
    let items = asks.iter().map(|ask| {
        let query = &queries[ask.index];
        let mut item = OffsetForLeaderPartition::default();
        item.partition = query.partition.partition;
        item.current_leader_epoch = query.current_epoch;
        item.leader_epoch = query.epoch;
        (&query.partition, item)
    });
    let topics = by_topic(items).into_iter().map(|(name, partitions)| {
        OffsetForLeaderTopic::default().with_topic(name).with_partitions(partitions)
    });
    let mut request = OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
    if version >= 3 {
        request.replica_id = CONSUMER.into();
    }
    request
}
