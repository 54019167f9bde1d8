//! Metadata: brokers, topics, who leads which partition.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};

use super::super::rights::Right;
use super::super::state::{State, broker_ids, text};
use super::super::topics::{Partition, Topic, is_sound_name};
use super::Call;

/// Versions that tell rights on topics, and on the cluster.
const TOPIC_RIGHTS_SINCE: i16 = 8;
const CLUSTER_RIGHTS: std::ops::RangeInclusive<i16> = 8..=10;
/// First version with topic ids.
const IDS_SINCE: i16 = 10;
/// First version that may leave a name out.
const NO_NAME_SINCE: i16 = 12;

pub(super) fn answer(call: &Call, asked: &MetadataRequest) -> MetadataResponse {
    let throttle_ms = call.throttle_ms();
    // In version 0 an empty list asks for all.
    let all = asked.topics.as_ref().is_none_or(|topics| call.version() == 0 && topics.is_empty());
    let topics = call.read(|state| {
        if all {
            let names: Vec<String> = state.topics.keys().cloned().collect();
            let seen = names.iter().filter(|name| state.denied.topic(name, Right::Describe));
            let seen: Vec<String> = seen.cloned().collect();
            return seen.iter().map(|name| named(call, state, asked, name)).collect();
        }
        let topics = asked.topics.iter().flatten();
        topics.map(|topic| one(call, state, asked, topic)).collect::<Vec<_>>()
    });
    let state = call.state();
    let brokers = state.up().map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(broker.id.into())
            .with_host(text(broker.address.ip().to_string()))
            .with_port(broker.address.port().into())
            .with_rack(broker.rack.clone().map(text))
    });
    let mut answer = MetadataResponse::default()
        .with_throttle_time_ms(throttle_ms)
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text(state.cluster_id.clone())))
        .with_controller_id(state.controller().into())
        .with_topics(topics);
    if asked.include_cluster_authorized_operations && CLUSTER_RIGHTS.contains(&call.version()) {
        answer.cluster_authorized_operations = state.denied.cluster_bits();
    }
    answer
}

fn one(
    call: &Call,
    state: &mut State,
    asked: &MetadataRequest,
    topic: &MetadataRequestTopic,
) -> MetadataResponseTopic {
    match &topic.name {
        Some(name) => named(call, state, asked, name.as_str()),
        None => match state.name_of(topic.topic_id).map(str::to_owned) {
            Some(name) => named(call, state, asked, &name),
            None => {
                let answer = MetadataResponseTopic::default()
                    .with_error_code(ResponseError::UnknownTopicId.code())
                    .with_topic_id(topic.topic_id);
                if call.version() >= NO_NAME_SINCE { answer.with_name(None) } else { answer }
            }
        },
    }
}

fn named(call: &Call, state: &mut State, asked: &MetadataRequest, name: &str) -> MetadataResponseTopic {
    let answer = MetadataResponseTopic::default().with_name(Some(text(name).into()));
    let refusal = if !state.denied.topic(name, Right::Describe) {
        Some(ResponseError::TopicAuthorizationFailed)
    } else if let Some(code) = call.fault(state, name) {
        Some(code)
    } else if state.topics.contains_key(name) {
        None
    } else if !is_sound_name(name) {
        Some(ResponseError::InvalidTopicException)
    } else {
        if state.auto_create && asked.allow_auto_topic_creation {
            state.add_topic(name, state.partitions_unless_said, state.default_replicas(), BTreeMap::new());
        }
        // A topic is there the next time.
        Some(ResponseError::UnknownTopicOrPartition)
    };
    if let Some(code) = refusal {
        return answer.with_error_code(code.code());
    }
    let rights = (asked.include_topic_authorized_operations && call.version() >= TOPIC_RIGHTS_SINCE)
        .then(|| state.denied.topic_bits(name));
    let topic = &state.topics[name];
    let mut answer = answer
        .with_is_internal(name == "__consumer_offsets" || name == "__transaction_state")
        .with_partitions(partitions(call, state, topic));
    if call.version() >= IDS_SINCE {
        answer.topic_id = topic.id;
    }
    if let Some(bits) = rights {
        answer.topic_authorized_operations = bits;
    }
    answer
}

fn partitions(call: &Call, state: &State, topic: &Topic) -> Vec<MetadataResponsePartition> {
    let one = |(index, partition): (i32, &Partition)| {
        let (up, down): (Vec<i32>, Vec<i32>) =
            partition.replicas.iter().copied().partition(|replica| state.is_up(*replica));
        let mut answer = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_replica_nodes(broker_ids(partition.replicas.iter().copied()))
            .with_isr_nodes(broker_ids(up));
        if partition.leader.is_none() {
            answer.error_code = ResponseError::LeaderNotAvailable.code();
        }
        if call.version() >= 7 {
            answer.leader_epoch = partition.epoch;
        }
        if call.version() >= 5 {
            answer.offline_replicas = broker_ids(down);
        }
        answer
    };
    (0..).zip(&topic.partitions).map(one).collect()
}
