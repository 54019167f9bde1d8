//! DeleteTopics.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use uuid::Uuid;

use super::super::rights::Right;
use super::super::state::{State, text};
use super::Call;

/// First version that takes ids.
const IDS_SINCE: i16 = 6;

pub(super) fn answer(call: &Call, asked: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let throttle_ms = call.throttle_ms();
    let by_name = asked.topic_names.iter().map(|name| (Some(name.to_string()), Uuid::nil()));
    let either =
        asked.topics.iter().map(|topic| (topic.name.as_ref().map(|name| name.to_string()), topic.topic_id));
    let topics: Vec<_> = by_name.chain(either).collect();
    let results = call.change(|state| {
        let one = |(name, id): (Option<String>, Uuid)| {
            let (name, deleted) = match name.or_else(|| state.name_of(id).map(str::to_owned)) {
                Some(name) => {
                    let deleted = delete(call, state, &name);
                    (Some(name), deleted)
                }
                None => (None, Err(ResponseError::UnknownTopicId)),
            };
            let answer = DeletableTopicResult::default().with_name(name.map(|name| text(name).into()));
            match deleted {
                Ok(id) if call.version() >= IDS_SINCE => answer.with_topic_id(id),
                Ok(_) => answer,
                Err(code) if call.version() >= IDS_SINCE => {
                    answer.with_error_code(code.code()).with_topic_id(id)
                }
                Err(code) => answer.with_error_code(code.code()),
            }
        };
        topics.into_iter().map(one).collect()
    });
    DeleteTopicsResponse::default().with_throttle_time_ms(throttle_ms).with_responses(results)
}

fn delete(call: &Call, state: &mut State, name: &str) -> Result<Uuid, ResponseError> {
    if !state.denied.topic(name, Right::Delete) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let topic = state.remove_topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    Ok(topic.id)
}
