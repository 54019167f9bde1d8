//! OffsetFetch: what groups have committed.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::super::groups::Commit;
use super::super::rights::Right;
use super::super::state::{State, text};
use super::Call;

/// First version that takes many groups (KIP-709).
const MANY_GROUPS_SINCE: i16 = 8;
/// First version that tells the epoch.
const EPOCHS_SINCE: i16 = 5;

/// A topic's partitions.
type Places = Vec<(String, Vec<i32>)>;

/// What is told of a topic's partitions.
type Found = Vec<(String, Vec<(i32, Result<Option<Commit>, ResponseError>)>)>;

pub(super) fn answer(call: &Call, asked: &OffsetFetchRequest) -> OffsetFetchResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    if call.version() >= MANY_GROUPS_SINCE {
        let groups = asked.groups.iter().map(|group| {
            let places = group.topics.as_ref().map(|topics| {
                topics.iter().map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
            });
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            match find(call, &mut state, &group.group_id, places, asked.require_stable) {
                Ok(found) => answer.with_topics(found.into_iter().map(many).collect()),
                Err(code) => answer.with_error_code(code.code()),
            }
        });
        let groups = groups.collect();
        return OffsetFetchResponse::default().with_throttle_time_ms(throttle_ms).with_groups(groups);
    }
    let places = asked.topics.as_ref().map(|topics| {
        topics.iter().map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
    });
    let answer = OffsetFetchResponse::default();
    let answer = if call.version() >= 3 { answer.with_throttle_time_ms(throttle_ms) } else { answer };
    match find(call, &mut state, &asked.group_id, places, asked.require_stable) {
        Ok(found) => {
            answer.with_topics(found.into_iter().map(|topic| single(call.version(), topic)).collect())
        }
        Err(code) => answer.with_error_code(code.code()),
    }
}

fn find(
    call: &Call,
    state: &mut State,
    name: &str,
    places: Option<Places>,
    require_stable: bool,
) -> Result<Found, ResponseError> {
    if !state.denied.group(name) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    if state.coordinator(name).is_none_or(|broker| broker.id != call.broker()) {
        return Err(ResponseError::NotCoordinator);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let asked_for_all = places.is_none();
    let places = places.unwrap_or_else(|| all(state, name));
    let commits = state.groups.get(name).map(|group| &group.commits);
    let seen = |topic: &str| state.denied.topic(topic, Right::Describe);
    let places = places.into_iter().filter(|(topic, _)| !asked_for_all || seen(topic));
    let of_topic = |(topic, partitions): (String, Vec<i32>)| {
        let of_partition = |index: i32| {
            if !seen(&topic) {
                return (index, Err(ResponseError::TopicAuthorizationFailed));
            }
            let commit = commits.and_then(|commits| commits.get(&(topic.clone(), index)));
            let unstable = require_stable && commit.is_some_and(|commit| commit.unstable);
            let unstable = unstable.then_some(ResponseError::UnstableOffsetCommit);
            (index, unstable.map_or_else(|| Ok(commit.cloned()), Err))
        };
        let found = partitions.into_iter().map(of_partition).collect();
        (topic, found)
    };
    Ok(places.map(of_topic).collect())
}

/// All partitions for which a group has committed.
fn all(state: &State, group: &str) -> Places {
    let mut places = Places::new();
    for (topic, partition) in state.groups.get(group).iter().flat_map(|group| group.commits.keys()) {
        match places.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(*partition),
            _ => places.push((topic.clone(), vec![*partition])),
        }
    }
    places
}

/// A topic, and what is committed of each of its partitions.
type TopicCommits = (String, Vec<(i32, Result<Option<Commit>, ResponseError>)>);

fn many((topic, partitions): TopicCommits) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, found)| {
        let (code, commit) = told(found);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(code)
            .with_committed_offset(commit.offset)
            .with_committed_leader_epoch(commit.leader_epoch)
            .with_metadata(Some(text(commit.metadata)))
    });
    OffsetFetchResponseTopics::default().with_name(text(topic).into()).with_partitions(partitions.collect())
}

fn single(version: i16, (topic, partitions): TopicCommits) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|(index, found)| {
        let (code, commit) = told(found);
        let answer = OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
            .with_committed_offset(commit.offset)
            .with_metadata(Some(text(commit.metadata)));
        if version >= EPOCHS_SINCE { answer.with_committed_leader_epoch(commit.leader_epoch) } else { answer }
    });
    OffsetFetchResponseTopic::default().with_name(text(topic).into()).with_partitions(partitions.collect())
}

/// A code, and what is told: nothing committed is offset −1.
fn told(found: Result<Option<Commit>, ResponseError>) -> (i16, Commit) {
    let nothing = || Commit { offset: -1, leader_epoch: -1, metadata: String::new(), unstable: false };
    match found {
        Ok(commit) => (0, commit.unwrap_or_else(nothing)),
        Err(code) => (code.code(), nothing()),
    }
}
