//! ListOffsets: where logs start and end, and what lies at a time.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::super::rights::Right;
use super::super::state::State;
use super::Call;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// Replica id of an ordinary consumer.
const CONSUMER: i32 = -1;
/// First version that tells epochs.
const EPOCHS_SINCE: i16 = 4;

pub(super) fn answer(call: &Call, asked: &ListOffsetsRequest) -> ListOffsetsResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let topics = asked.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(-1)
                .with_offset(-1);
            match look_up(call, &mut state, asked, (&topic.name, partition)) {
                Ok((offset, timestamp_ms, epoch)) => {
                    let answer = answer.with_offset(offset).with_timestamp(timestamp_ms);
                    if call.version() >= EPOCHS_SINCE { answer.with_leader_epoch(epoch) } else { answer }
                }
                Err(code) => answer.with_error_code(code.code()),
            }
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    ListOffsetsResponse::default().with_throttle_time_ms(throttle_ms).with_topics(topics)
}

/// Offset, timestamp and epoch; −1 where there is none.
fn look_up(
    call: &Call,
    state: &mut State,
    asked: &ListOffsetsRequest,
    (name, partition): (&str, &ListOffsetsPartition),
) -> Result<(i64, i64, i32), ResponseError> {
    if !state.denied.topic(name, Right::Describe) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let place = (name, partition.partition_index);
    let log = &state.held(call.broker(), place, partition.current_leader_epoch, true)?.log;
    let limit = match (asked.replica_id.0, asked.isolation_level) {
        (CONSUMER, 0) => log.high_watermark(),
        (CONSUMER, _) => log.last_stable(),
        _ => log.end(),
    };
    let nothing = (-1, -1, -1);
    match partition.timestamp {
        LATEST => Ok((limit, -1, log.last_epoch())),
        EARLIEST | EARLIEST_LOCAL => Ok((log.start(), -1, log.first_epoch())),
        MAX_TIMESTAMP => Ok(log.at_max_timestamp().unwrap_or(nothing)),
        LATEST_TIERED => Ok(nothing),
        timestamp_ms if timestamp_ms >= 0 => Ok(log.at_timestamp(timestamp_ms, limit).unwrap_or(nothing)),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}
