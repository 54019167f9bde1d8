//! OffsetForLeaderEpoch: where epochs ended.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::super::rights::Right;
use super::super::state::State;
use super::Call;

pub(super) fn answer(call: &Call, asked: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let topics = asked.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let answer = EpochEndOffset::default().with_partition(partition.partition);
            match look_up(call, &mut state, &topic.topic, partition) {
                Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
                Err(code) => answer.with_error_code(code.code()),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    OffsetForLeaderEpochResponse::default().with_throttle_time_ms(throttle_ms).with_topics(topics)
}

fn look_up(
    call: &Call,
    state: &mut State,
    name: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    if !state.denied.topic(name, Right::Describe) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let place = (name, asked.partition);
    let partition = state.held(call.broker(), place, asked.current_leader_epoch, true)?;
    Ok(partition.log.epoch_end(asked.leader_epoch))
}
