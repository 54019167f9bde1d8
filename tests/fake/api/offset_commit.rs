//! OffsetCommit, from outside of a group: members can't commit here, since nobody can join.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::super::groups::Commit;
use super::super::rights::Right;
use super::super::state::State;
use super::Call;

/// Longest text that goes with an offset (`offset.metadata.max.bytes`).
const LONGEST_TEXT: usize = 4_096;
/// First version in which a group that isn't there is told as such (KIP-848).
const MISSING_SINCE: i16 = 9;

pub(super) fn answer(call: &Call, asked: &OffsetCommitRequest) -> OffsetCommitResponse {
    let throttle_ms = call.throttle_ms();
    let topics = call.change(|state| {
        let refusal = check_group(call, state, asked).err();
        let topics = asked.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let answer =
                    OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
                let code = match refusal {
                    Some(code) => Some(code),
                    None => commit(state, &asked.group_id, &topic.name, partition).err(),
                };
                answer.with_error_code(code.map_or(0, |code| code.code()))
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        topics.collect()
    });
    let answer = OffsetCommitResponse::default().with_topics(topics);
    if call.version() >= 3 { answer.with_throttle_time_ms(throttle_ms) } else { answer }
}

fn check_group(call: &Call, state: &mut State, asked: &OffsetCommitRequest) -> Result<(), ResponseError> {
    let name = asked.group_id.as_str();
    if !state.denied.group(name) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    if state.coordinator(name).is_none_or(|broker| broker.id != call.broker()) {
        return Err(ResponseError::NotCoordinator);
    }
    if let Some(code) = call.fault(state, name) {
        return Err(code);
    }
    let from_outside = asked.generation_id_or_member_epoch < 0 && asked.member_id.is_empty();
    match state.groups.get(name) {
        None if from_outside => Ok(()),
        None if call.version() >= MISSING_SINCE => Err(ResponseError::GroupIdNotFound),
        None => Err(ResponseError::IllegalGeneration),
        Some(group) if group.members == 0 && from_outside => Ok(()),
        Some(_) => Err(ResponseError::UnknownMemberId),
    }
}

fn commit(
    state: &mut State,
    group: &str,
    topic: &str,
    asked: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    if !state.denied.topic(topic, Right::Read) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    state.partition(topic, asked.partition_index)?;
    let metadata = asked.committed_metadata.as_deref().unwrap_or_default().to_owned();
    if metadata.len() > LONGEST_TEXT {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
    let group = state.groups.entry(group.to_owned()).or_default();
    let commit = Commit { offset, leader_epoch, metadata, unstable: false };
    group.commits.insert((topic.to_owned(), asked.partition_index), commit);
    Ok(())
}
