//! CreateTopics.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::super::configs::{self, FROM_DEFAULT, FROM_TOPIC};
use super::super::rights::Right;
use super::super::state::{Refusal, State, text};
use super::super::topics::is_sound_name;
use super::Call;

/// First version that tells what was made (KIP-525), and its id.
const DETAILS_SINCE: i16 = 5;
const IDS_SINCE: i16 = 7;

/// What a topic is to be.
struct Plan {
    partitions: i32,
    replicas: usize,
    configs: BTreeMap<String, String>,
}

pub(super) fn answer(call: &Call, asked: &CreateTopicsRequest) -> CreateTopicsResponse {
    let throttle_ms = call.throttle_ms();
    let topics = call.change(|state| {
        let mut results = Vec::new();
        for topic in &asked.topics {
            let twice = asked.topics.iter().filter(|other| other.name == topic.name).count() > 1;
            let planned = if twice {
                Err(Refusal::new(ResponseError::InvalidRequest, "Duplicate topic name."))
            } else {
                plan(call, state, topic)
            };
            let answer = CreatableTopicResult::default().with_name(topic.name.clone());
            results.push(match planned {
                Ok(plan) => create(call, state, answer, plan, asked.validate_only),
                Err(refusal) => {
                    let message = refusal.message.map(text);
                    answer.with_error_code(refusal.code.code()).with_error_message(message)
                }
            });
        }
        results
    });
    CreateTopicsResponse::default().with_throttle_time_ms(throttle_ms).with_topics(topics)
}

fn plan(call: &Call, state: &mut State, topic: &CreatableTopic) -> Result<Plan, Refusal> {
    let name = topic.name.as_str();
    if !state.denied.cluster(Right::Create) || !state.denied.topic(name, Right::Create) {
        return Err(Refusal::new(ResponseError::TopicAuthorizationFailed, "Authorization failed."));
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code.into());
    }
    if !is_sound_name(name) {
        return Err(Refusal::new(ResponseError::InvalidTopicException, "Topic name is invalid"));
    }
    if state.topics.contains_key(name) {
        let text = format!("Topic '{name}' already exists.");
        return Err(Refusal::new(ResponseError::TopicAlreadyExists, text));
    }
    if !topic.assignments.is_empty() {
        return Err(Refusal::new(ResponseError::UnsupportedVersion, "Assignments are not taken here."));
    }
    let replicas = match topic.replication_factor {
        -1 => state.default_replicas(),
        factor => usize::try_from(factor).unwrap_or(0),
    };
    let brokers = state.up().count();
    if replicas == 0 || replicas > brokers {
        let text = format!(
            "Unable to replicate the partition {} time(s): only {brokers} broker(s) are registered.",
            topic.replication_factor
        );
        return Err(Refusal::new(ResponseError::InvalidReplicationFactor, text));
    }
    let partitions = match topic.num_partitions {
        -1 => state.partitions_unless_said,
        count @ 1.. => count,
        _ => {
            let text = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::new(ResponseError::InvalidPartitions, text));
        }
    };
    let mut own = BTreeMap::new();
    for config in &topic.configs {
        configs::check(&config.name, config.value.as_deref())?;
        own.insert(config.name.to_string(), config.value.as_deref().unwrap_or_default().to_owned());
    }
    Ok(Plan { partitions, replicas, configs: own })
}

fn create(
    call: &Call,
    state: &mut State,
    mut answer: CreatableTopicResult,
    plan: Plan,
    validate_only: bool,
) -> CreatableTopicResult {
    if call.version() >= DETAILS_SINCE {
        answer.num_partitions = plan.partitions;
        answer.replication_factor = i16::try_from(plan.replicas).expect("there are few brokers");
        let configs = configs::TOPIC_KEYS.iter().map(|key| {
            let own = plan.configs.get(key.name);
            CreatableTopicConfigs::default()
                .with_name(text(key.name))
                .with_value(Some(text(configs::value(&plan.configs, key.name))))
                .with_config_source(if own.is_some() { FROM_TOPIC } else { FROM_DEFAULT })
        });
        answer.configs = Some(configs.collect());
    }
    if !validate_only {
        state.add_topic(&answer.name, plan.partitions, plan.replicas, plan.configs);
        if call.version() >= IDS_SINCE {
            answer.topic_id = state.topics[answer.name.as_str()].id;
        }
    }
    answer
}
