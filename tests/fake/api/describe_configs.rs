//! DescribeConfigs, of topics and brokers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::super::configs::{BROKER_KEYS, FROM_DEFAULT, FROM_TOPIC, Key, TOPIC_KEYS};
use super::super::rights::Right;
use super::super::state::{Refusal, State, text};
use super::Call;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// First version that tells the kind of a value.
const KINDS_SINCE: i16 = 3;

pub(super) fn answer(call: &Call, asked: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let results = asked.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(call, &mut state, resource, asked.include_synonyms) {
            Ok(configs) => answer.with_configs(configs),
            Err(refusal) => {
                answer.with_error_code(refusal.code.code()).with_error_message(refusal.message.map(text))
            }
        }
    });
    let results = results.collect();
    DescribeConfigsResponse::default().with_throttle_time_ms(throttle_ms).with_results(results)
}

fn describe(
    call: &Call,
    state: &mut State,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = resource.resource_name.as_str();
    let is_asked = |key: &&Key| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|asked| asked.as_str() == key.name))
    };
    match resource.resource_type {
        TOPIC => {
            if !state.denied.topic(name, Right::DescribeConfigs) {
                return Err(ResponseError::TopicAuthorizationFailed.into());
            }
            if let Some(code) = call.fault(state, name) {
                return Err(code.into());
            }
            let topic = state.topic(name)?;
            let entry = |key: &Key| {
                let own = topic.configs.get(key.name).map(String::as_str);
                entry(call, key, own, synonyms)
            };
            Ok(TOPIC_KEYS.iter().filter(is_asked).map(entry).collect())
        }
        BROKER if name == call.broker().to_string() => {
            if !state.denied.cluster(Right::DescribeConfigs) {
                return Err(ResponseError::ClusterAuthorizationFailed.into());
            }
            let replicas = state.default_replicas().to_string();
            let told = |key: &Key| {
                let told = entry(call, key, None, synonyms);
                let own = key.name == "default.replication.factor";
                if own { told.with_value(Some(text(&replicas))) } else { told }
            };
            Ok(BROKER_KEYS.iter().filter(is_asked).map(told).collect())
        }
        BROKER => {
            let text = format!("Unexpected broker id, expected {}, but received {name}", call.broker());
            Err(Refusal::new(ResponseError::InvalidRequest, text))
        }
        _ => Err(Refusal::new(ResponseError::UnsupportedVersion, "Topics and brokers only.")),
    }
}

fn entry(call: &Call, key: &Key, own: Option<&str>, synonyms: bool) -> DescribeConfigsResourceResult {
    let synonym = |value: &str, source| {
        DescribeConfigsSynonym::default()
            .with_name(text(key.name))
            .with_value(Some(text(value)))
            .with_source(source)
    };
    let mut answer = DescribeConfigsResourceResult::default()
        .with_name(text(key.name))
        .with_value(Some(text(own.unwrap_or(key.default))))
        .with_config_source(if own.is_some() { FROM_TOPIC } else { FROM_DEFAULT });
    if synonyms {
        let default = synonym(key.default, FROM_DEFAULT);
        answer.synonyms = own.map(|own| synonym(own, FROM_TOPIC)).into_iter().chain([default]).collect();
    }
    if call.version() >= KINDS_SINCE {
        answer.config_type = key.kind.number();
    }
    answer
}
