//! CreatePartitions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::super::rights::Right;
use super::super::state::{Refusal, State, text};
use super::Call;

pub(super) fn answer(call: &Call, asked: &CreatePartitionsRequest) -> CreatePartitionsResponse {
    let throttle_ms = call.throttle_ms();
    let results = call.change(|state| {
        let one = |topic: &CreatePartitionsTopic| {
            let answer = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            match grow(call, state, topic, asked.validate_only) {
                Ok(()) => answer,
                Err(refusal) => {
                    let message = refusal.message.map(text);
                    answer.with_error_code(refusal.code.code()).with_error_message(message)
                }
            }
        };
        asked.topics.iter().map(one).collect()
    });
    CreatePartitionsResponse::default().with_throttle_time_ms(throttle_ms).with_results(results)
}

fn grow(
    call: &Call,
    state: &mut State,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = asked.name.as_str();
    if !state.denied.topic(name, Right::Alter) {
        return Err(ResponseError::TopicAuthorizationFailed.into());
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code.into());
    }
    let topic = state.topic(name)?;
    let now = i32::try_from(topic.partitions.len()).expect("there are few partitions");
    if asked.count <= now {
        let (wanted, what) = (asked.count, "Topic currently has");
        let text = match wanted == now {
            true => format!("Topic already has {now} partition(s)."),
            false => format!("{what} {now} partitions, which is higher than the requested {wanted}."),
        };
        return Err(Refusal::new(ResponseError::InvalidPartitions, text));
    }
    if asked.assignments.is_some() {
        return Err(Refusal::new(ResponseError::UnsupportedVersion, "Assignments are not taken here."));
    }
    if !validate_only {
        let mut topic = topic.clone();
        let replicas = topic.partitions[0].replicas.len();
        state.grow(&mut topic, asked.count, replicas);
        state.topics.insert(name.to_owned(), topic);
    }
    Ok(())
}
