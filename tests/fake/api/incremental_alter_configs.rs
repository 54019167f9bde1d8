//! IncrementalAlterConfigs, of topics.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::super::configs::{self, Kind, TOPIC_KEYS};
use super::super::rights::Right;
use super::super::state::{Refusal, State, text};
use super::Call;

const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) fn answer(call: &Call, asked: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let throttle_ms = call.throttle_ms();
    let responses = call.change(|state| {
        let one = |resource: &AlterConfigsResource| {
            let answer = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match alter(call, state, resource, asked.validate_only) {
                Ok(()) => answer,
                Err(refusal) => {
                    let message = refusal.message.map(text);
                    answer.with_error_code(refusal.code.code()).with_error_message(message)
                }
            }
        };
        asked.resources.iter().map(one).collect()
    });
    IncrementalAlterConfigsResponse::default().with_throttle_time_ms(throttle_ms).with_responses(responses)
}

fn alter(
    call: &Call,
    state: &mut State,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = resource.resource_name.as_str();
    if resource.resource_type != TOPIC {
        return Err(Refusal::new(ResponseError::UnsupportedVersion, "Topics only."));
    }
    if !state.denied.topic(name, Right::AlterConfigs) {
        return Err(ResponseError::TopicAuthorizationFailed.into());
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code.into());
    }
    let mut changed = state.topic(name)?.configs.clone();
    for change in &resource.configs {
        apply(&mut changed, change)?;
    }
    if !validate_only && let Some(topic) = state.topics.get_mut(name) {
        topic.configs = changed;
    }
    Ok(())
}

fn apply(own: &mut BTreeMap<String, String>, change: &AlterableConfig) -> Result<(), Refusal> {
    let name = change.name.as_str();
    let Some(key) = TOPIC_KEYS.iter().find(|key| key.name == name) else {
        return match change.config_operation {
            // What isn't there is gone already.
            DELETE => Ok(()),
            _ => configs::check(name, change.value.as_deref()),
        };
    };
    let value = change.value.as_deref();
    if value.is_none() && change.config_operation != DELETE {
        let text = format!("Null value not supported for {name}.");
        return Err(Refusal::new(ResponseError::InvalidRequest, text));
    }
    match change.config_operation {
        SET => {
            configs::check(name, value)?;
            own.insert(name.to_owned(), value.unwrap_or_default().to_owned());
        }
        DELETE => _ = own.remove(name),
        APPEND | SUBTRACT => {
            if !matches!(key.kind, Kind::ListOf(_)) {
                let text = format!("Can't APPEND to or SUBTRACT from key {name}: its type is not LIST.");
                return Err(Refusal::new(ResponseError::InvalidConfig, text));
            }
            configs::check(name, value)?;
            let mut words: Vec<String> = configs::value(own, name).split(',').map(str::to_owned).collect();
            let named: Vec<String> = value.unwrap_or_default().split(',').map(str::to_owned).collect();
            words.retain(|word| !word.is_empty() && !named.contains(word));
            if change.config_operation == APPEND {
                words.extend(named);
            }
            own.insert(name.to_owned(), words.join(","));
        }
        _ => return Err(ResponseError::InvalidRequest.into()),
    }
    Ok(())
}
