//! DescribeProducers: what a leader remembers of those that wrote (KIP-664).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::super::rights::Right;
use super::super::state::{State, text};
use super::Call;

pub(super) fn answer(call: &Call, asked: &DescribeProducersRequest) -> DescribeProducersResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let topics = asked.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            match describe(call, &mut state, (&topic.name, *index)) {
                Ok(producers) => answer.with_active_producers(producers),
                Err(code) => {
                    answer.with_error_code(code.code()).with_error_message(Some(text(code.to_string())))
                }
            }
        });
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    DescribeProducersResponse::default().with_throttle_time_ms(throttle_ms).with_topics(topics)
}

fn describe(call: &Call, state: &mut State, place: (&str, i32)) -> Result<Vec<ProducerState>, ResponseError> {
    if !state.denied.topic(place.0, Right::Read) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(code) = call.fault(state, place.0) {
        return Err(code);
    }
    let partition = state.held(call.broker(), place, -1, true)?;
    let producers = partition.producers.iter().map(|(id, producer)| {
        ProducerState::default()
            .with_producer_id(id.into())
            .with_producer_epoch(producer.epoch.into())
            .with_last_sequence(producer.last_sequence())
            .with_last_timestamp(producer.last_timestamp_ms)
            .with_coordinator_epoch(-1)
            .with_current_txn_start_offset(producer.transaction.unwrap_or(-1))
    });
    Ok(producers.collect())
}
