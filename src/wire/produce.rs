//! Writing one batch to one partition.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::kafka_topic;
use super::pool::Purpose;
use super::retry::Retry;
use crate::batch::BatchBuilder;
use crate::model::{Codec, TopicPartition};

/// All in-sync replicas.
pub(super) const ACKS_ALL: i16 = -1;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<(String, Bytes)>,
}

/// Where records were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Offset of the first record; the others follow without gaps.
    pub base_offset: i64,
    /// The broker's time stamp, on topics that stamp on append; −1 otherwise.
    pub log_append_time_ms: i64,
}

impl Wire {
    /// Writes records as one batch, acknowledged by all in-sync replicas; without a producer id.
    ///
    /// Tried again, within `request_timeout`, only where nothing can have been written. An error with
    /// [`WireError::is_outcome_unknown`] may have left the records in the log, now or a little later: the
    /// connection broke or the answer stayed out after the request was sent, or the broker appended and could
    /// not tell whether it lasts. With any other error nothing was written. A call whose future is dropped has an
    /// unknown outcome too.
    pub async fn produce(
        &self,
        partition: &TopicPartition,
        records: &[NewRecord],
        codec: Codec,
    ) -> Result<Produced, WireError> {
        let batch = self.encode(records, codec).map_err(|error| error.about(partition))?;
        let build = |_, _, retry: &Retry| produce_request(partition, batch.clone(), retry);
        let read = |answer| self.read_produced(partition, answer);
        let again = |error: &WireError| !error.is_outcome_unknown() && !error.may_have_been_sent();
        let written = self.call_leader(partition, Purpose::Produce, Duration::ZERO, build, read, again).await;
        written.map_err(|error| if error.may_have_been_sent() { error.with_unknown_outcome() } else { error })
    }

    fn encode(&self, records: &[NewRecord], codec: Codec) -> Result<Bytes, WireError> {
        let mut batch = BatchBuilder::new(codec);
        for record in records {
            let headers: Vec<(&[u8], Option<&[u8]>)> =
                record.headers.iter().map(|(key, value)| (key.as_bytes(), Some(value.as_ref()))).collect();
            batch.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers);
        }
        batch.build().map_err(|error| self.error(WireErrorKind::Batch(error.to_string())))
    }

    fn read_produced(
        &self,
        partition: &TopicPartition,
        answer: ProduceResponse,
    ) -> Result<Produced, WireError> {
        let result = answer.responses.iter().flat_map(|topic| &topic.partition_responses).next();
        let Some(result) = result.filter(|result| result.index == partition.partition) else {
            let detail = "the answer leaves out what was asked".to_owned();
            return Err(self.error(WireErrorKind::Protocol(detail)).with_unknown_outcome());
        };
        let Some(code) = result.error_code.err() else {
            return Ok(Produced {
                base_offset: result.base_offset,
                log_append_time_ms: result.log_append_time_ms,
            });
        };
        let error = self.refused(code, refusal(result).as_deref());
        Err(if may_be_written(code, result.base_offset) { error.with_unknown_outcome() } else { error })
    }
}

fn produce_request(partition: &TopicPartition, batch: Bytes, retry: &Retry) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition.partition).with_records(Some(batch));
    let topic =
        TopicProduceData::default().with_name(kafka_topic(&partition.topic)).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(ACKS_ALL)
        .with_timeout_ms(retry.left_for_broker_ms())
        .with_topic_data(vec![topic])
}

/// What the broker says about the batch, and about single records.
fn refusal(result: &PartitionProduceResponse) -> Option<String> {
    let of_records = result.record_errors.iter().filter_map(|error| {
        Some(format!("record {}: {}", error.batch_index, error.batch_index_error_message.as_ref()?))
    });
    let texts: Vec<String> =
        result.error_message.iter().map(|text| text.to_string()).chain(of_records).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Whether a refused batch may be in the log.
///
/// A broker that appended it and then could not see it replicated (it lost the leadership, say) answers with the
/// offset it got; one that refused it outright has none. Some codes say nothing about where they come from.
fn may_be_written(code: ResponseError, base_offset: i64) -> bool {
    base_offset >= 0
        || matches!(
            code,
            ResponseError::RequestTimedOut
                | ResponseError::NotEnoughReplicasAfterAppend
                | ResponseError::KafkaStorageError
                | ResponseError::UnknownServerError
                | ResponseError::NetworkException
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_appended_and_then_lost_its_place_leaves_the_outcome_open() {
        assert!(!may_be_written(ResponseError::NotLeaderOrFollower, -1));
        assert!(may_be_written(ResponseError::NotLeaderOrFollower, 17));
        assert!(!may_be_written(ResponseError::NotEnoughReplicas, -1));
        assert!(may_be_written(ResponseError::NotEnoughReplicasAfterAppend, -1));
        assert!(!may_be_written(ResponseError::MessageTooLarge, -1));
    }
}
