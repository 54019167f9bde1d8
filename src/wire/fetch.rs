//! Reading a stretch of one partition.

use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchResponse, PartitionData};

use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::kafka_topic;
use super::offsets::isolation_level;
use super::pool::Purpose;
use crate::batch::{AbortedFilter, BatchContent, BatchError, Record, split};
use crate::model::{Isolation, TopicPartition};

/// From this version on a request carries the leader epoch, and a stale leader refuses it (KIP-320, Kafka 2.1).
const EPOCH_SINCE: i16 = 9;

/// What to read.
#[derive(Clone, Debug)]
pub struct FetchRange {
    /// The partition.
    pub partition: TopicPartition,
    /// From which offset on.
    pub offset: i64,
    /// How much at most; a first batch that is larger comes whole all the same (KIP-74).
    pub max_bytes: i32,
    /// Which records.
    pub isolation: Isolation,
    /// How long the broker may wait for the first record.
    pub max_wait: Duration,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct FetchedRecords {
    /// The records, by offset; markers and aborted records are left out, and so is all before the asked offset.
    pub records: Vec<Record>,
    /// Where to go on: past markers and aborted records; the asked offset if nothing was there.
    pub next_offset: i64,
    /// Whether the broker stamped any of the batches when it appended them.
    pub append_time: bool,
    /// Leader epoch of the last batch; −1 when there was none, or it has none.
    pub last_epoch: i32,
    /// Where the log starts; −1 from brokers that don't tell.
    pub log_start: i64,
    /// The high watermark.
    pub high_watermark: i64,
    /// The last stable offset.
    pub last_stable: i64,
}

impl Wire {
    /// Reads records of one partition from its leader, in one round.
    ///
    /// Fetches share one connection per broker, which answers them one after the other: a long `max_wait` delays
    /// other fetches, never other calls. Cancel safe.
    pub async fn fetch(&self, range: &FetchRange) -> Result<FetchedRecords, WireError> {
        let build = |version, epoch, _: &_| fetch_request(range, version, epoch);
        let read = |answer| self.read_fetched(range, answer);
        self.call_leader(&range.partition, Purpose::Fetch, range.max_wait, build, read, |_| true).await
    }

    /// The format (0, 1 or 2) of the batch that holds this offset, or of the next one; `None` at the log's end.
    ///
    /// Only its header is looked at. It shares connections with [`Wire::fetch`]. Cancel safe.
    pub async fn stored_magic(
        &self,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<Option<i8>, WireError> {
        let range = FetchRange {
            partition: partition.clone(),
            offset,
            // The first batch comes whole all the same.
            max_bytes: 1,
            isolation: Isolation::ReadUncommitted,
            max_wait: Duration::ZERO,
        };
        let build = |version, epoch, _: &_| fetch_request(&range, version, epoch);
        let read = |answer| {
            let data = self.partition_data(&range, answer)?;
            let first = split(data.records.unwrap_or_default()).next().transpose();
            let first = first.map_err(|error| self.error(WireErrorKind::Batch(error.to_string())))?;
            Ok(first.map(|batch| batch.header().magic))
        };
        self.call_leader(partition, Purpose::Fetch, range.max_wait, build, read, |_| true).await
    }

    fn read_fetched(&self, range: &FetchRange, answer: FetchResponse) -> Result<FetchedRecords, WireError> {
        let data = self.partition_data(range, answer)?;
        decode(range, data).map_err(|error| self.error(WireErrorKind::Batch(error.to_string())))
    }

    fn partition_data(&self, range: &FetchRange, answer: FetchResponse) -> Result<PartitionData, WireError> {
        if let Some(code) = answer.error_code.err() {
            return Err(self.refused(code, None));
        }
        if answer.responses.is_empty() && answer.throttle_time_ms > 0 {
            // Brokers empty an answer that exceeds a quota: the same is to be asked again later (KIP-219).
            let quiet = Duration::from_millis(u64::from(answer.throttle_time_ms.unsigned_abs()));
            return Err(self.error(WireErrorKind::Throttled(quiet)));
        }
        let data = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let Some(data) = data.filter(|data| data.partition_index == range.partition.partition) else {
            let detail = "the answer leaves out what was asked".to_owned();
            return Err(self.error(WireErrorKind::Protocol(detail)));
        };
        if let Some(code) = data.error_code.err() {
            return Err(self.refused(code, None));
        }
        Ok(data)
    }
}

fn fetch_request(range: &FetchRange, version: i16, epoch: i32) -> FetchRequest {
    let mut partition = FetchPartition::default()
        .with_partition(range.partition.partition)
        .with_fetch_offset(range.offset)
        .with_partition_max_bytes(range.max_bytes);
    if version >= EPOCH_SINCE {
        partition.current_leader_epoch = epoch;
    }
    let topic = FetchTopic::default()
        .with_topic(kafka_topic(&range.partition.topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(range.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(range.max_bytes)
        .with_isolation_level(isolation_level(range.isolation))
        .with_topics(vec![topic])
}

fn decode(range: &FetchRange, data: PartitionData) -> Result<FetchedRecords, BatchError> {
    let mut fetched = FetchedRecords {
        records: Vec::new(),
        next_offset: range.offset,
        append_time: false,
        last_epoch: -1,
        log_start: data.log_start_offset,
        high_watermark: data.high_watermark,
        last_stable: data.last_stable_offset,
    };
    // Brokers list aborted transactions for read_committed only; without the list the filter still finds markers.
    let aborted = data.aborted_transactions.unwrap_or_default();
    let mut filter =
        AbortedFilter::new(aborted.iter().map(|entry| (entry.producer_id.0, entry.first_offset)).collect());
    for batch in split(data.records.unwrap_or_default()) {
        let batch = batch?;
        batch.verify_crc()?;
        let header = batch.header();
        if filter.takes(&batch)? == BatchContent::Data {
            // A broker sends whole batches: the first may start before the offset asked for.
            fetched
                .records
                .extend(batch.records()?.into_iter().filter(|record| record.offset >= range.offset));
            fetched.append_time |= header.is_append_time();
        }
        fetched.next_offset = fetched.next_offset.max(header.next_offset());
        fetched.last_epoch = header.leader_epoch;
    }
    Ok(fetched)
}
