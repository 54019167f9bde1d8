//! Commits for groups without members: OffsetCommit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::time::Instant;

use super::coordinators::Spread;
use super::{CommitOutcome, GroupCommit};
use crate::model::TopicPartition;
use crate::wire::call::Call;
use crate::wire::client::Wire;
use crate::wire::connection::Connection;
use crate::wire::error::WireErrorKind;
use crate::wire::names::{by_topic, text};

/// The request takes one group. A broker answers a connection's requests one after the other, each once it is
/// appended with others (`group.coordinator.append.linger.ms`, 5 ms) and replicated. So at some 8 ms each, sixteen
/// connections let no more than 2,000 groups a second through.
const SPREAD: Spread = Spread { groups_per_request: 1, lanes: 16 };
/// The offsets of a request become one batch, which must not be larger than `message.max.bytes`: 1 MiB unless set.
const BATCH_BYTES: usize = 512 << 10;
/// What an offset takes in that batch beside the names and the text: numbers, and what frames them.
const OFFSET_BYTES: usize = 80;

/// An offset to commit.
type NewOffset = (TopicPartition, i64, String);

impl Wire {
    /// Commits offsets outside any generation, for groups without members; answers in the order of the commits.
    ///
    /// One request per group (more where a group has thousands of offsets), at most 32 under way per coordinator. Name
    /// each group once. A group that has members refuses the whole commit ([`is_unknown_member`](crate::wire::WireError::is_unknown_member)); each
    /// group's failure is its own, and so is each partition's (a missing topic, say).
    ///
    /// A commit that may have been carried out ([`is_outcome_unknown`](crate::wire::WireError::is_outcome_unknown)) is not repeated: somebody else's may
    /// have followed it. Groups that can't be reached within `request_timeout` are told with a timeout, without having been
    /// sent; others of the same call are committed by then. Dropping the future leaves requests that were sent to be
    /// carried out.
    pub async fn commit_offsets(&self, commits: Vec<GroupCommit>) -> Vec<(String, CommitOutcome)> {
        let groups: Vec<&str> = commits.iter().map(|commit| commit.group.as_str()).collect();
        let ask = async |connection: Arc<Connection>, asked: Vec<usize>, left| {
            let mut outcomes = Vec::with_capacity(asked.len());
            for index in asked {
                outcomes.push(self.commit_group(&connection, &commits[index], left).await);
            }
            Ok(outcomes)
        };
        let outcomes = self.by_coordinator(&groups, SPREAD, ask, |error| !error.is_outcome_unknown()).await;
        let names: Vec<String> = commits.iter().map(|commit| commit.group.clone()).collect();
        names.into_iter().zip(outcomes).collect()
    }

    async fn commit_group(
        &self,
        connection: &Connection,
        commit: &GroupCommit,
        left: Duration,
    ) -> CommitOutcome {
        let deadline = Instant::now() + left;
        let mut results = Vec::with_capacity(commit.offsets.len());
        for part in batches(&commit.group, &commit.offsets) {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = connection.call(left, |version| request(version, &commit.group, part)).await;
            let answer = answer.map_err(|error| {
                if error.may_have_been_sent() { error.with_unknown_outcome() } else { error }
            })?;
            results.extend(self.read_commit(connection, part, &answer)?);
        }
        Ok(results)
    }

    fn read_commit(
        &self,
        connection: &Connection,
        asked: &[NewOffset],
        answer: &OffsetCommitResponse,
    ) -> CommitOutcome {
        let mut codes = HashMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                codes.insert((topic.name.as_str(), partition.partition_index), partition.error_code);
            }
        }
        let refusal = |code| {
            let error = self.refused(code, None).at(connection.broker()).during(OffsetCommitRequest::NAME);
            if may_be_committed(code) { error.with_unknown_outcome() } else { error }
        };
        let of_group = codes.values().filter_map(|code| code.err()).find(|code| is_of_group(*code));
        if let Some(code) = of_group {
            return Err(refusal(code));
        }
        let result =
            |partition: &TopicPartition| match codes.get(&(partition.topic.as_str(), partition.partition)) {
                Some(code) => code.err().map_or(Ok(()), |code| Err(refusal(code).about(partition))),
                None => {
                    let detail = format!("the answer leaves out {partition}");
                    let error = connection.error(WireErrorKind::Protocol(detail)).with_unknown_outcome();
                    Err(error.during(OffsetCommitRequest::NAME))
                }
            };
        Ok(asked.iter().map(|(partition, ..)| (partition.clone(), result(partition))).collect())
    }
}

/// The offsets in parts that fit a batch each.
fn batches<'a>(group: &str, mut rest: &'a [NewOffset]) -> Vec<&'a [NewOffset]> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(partition, _, metadata)| {
            bytes += OFFSET_BYTES + group.len() + partition.topic.as_str().len() + metadata.len();
            bytes <= BATCH_BYTES
        });
        let (part, others) = rest.split_at(fits.count().max(1));
        parts.push(part);
        rest = others;
    }
    parts
}

fn request(version: i16, group: &str, offsets: &[NewOffset]) -> OffsetCommitRequest {
    debug_assert!(version >= 2, "before version 2 brokers keep offsets elsewhere");
    let items = offsets.iter().map(|(partition, offset, metadata)| {
        // No leader epoch: the default says that it is not known.
        let item = OffsetCommitRequestPartition::default()
            .with_partition_index(partition.partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(text(metadata)));
        (partition, item)
    });
    let topics = by_topic(items).into_iter().map(|(name, partitions)| {
        OffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions)
    });
    // No generation and no member: the defaults.
    OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(topics.collect())
}

/// Whether a code is about the group, though the answer repeats it for each partition: nothing was committed then.
fn is_of_group(code: ResponseError) -> bool {
    matches!(
        code,
        ResponseError::UnknownMemberId
            | ResponseError::IllegalGeneration
            | ResponseError::RebalanceInProgress
            | ResponseError::FencedMemberEpoch
            | ResponseError::StaleMemberEpoch
            | ResponseError::GroupAuthorizationFailed
            | ResponseError::GroupIdNotFound
            | ResponseError::InvalidGroupId
            | ResponseError::NotCoordinator
            | ResponseError::CoordinatorNotAvailable
            | ResponseError::CoordinatorLoadInProgress
    )
}

/// Whether a refused commit may be carried out all the same. A coordinator that appended it and then could not see it
/// replicated in time says that it is not available.
fn may_be_committed(code: ResponseError) -> bool {
    matches!(
        code,
        ResponseError::CoordinatorNotAvailable
            | ResponseError::RequestTimedOut
            | ResponseError::UnknownServerError
            | ResponseError::KafkaStorageError
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_offset_is_in_one_batch_that_fits(sizes in prop::collection::vec(0_usize..200_000, 0..40)) {
            let offsets: Vec<NewOffset> = (0..)
                .zip(&sizes)
                .map(|(n, size)| (TopicPartition::new("orders", n), i64::from(n), "x".repeat(*size)))
                .collect();
            let parts = batches("group", &offsets);
            prop_assert_eq!(parts.concat(), offsets.clone());
            let bytes = |part: &[NewOffset]| part.iter().map(|(.., text)| text.len() + 80 + 5 + 6).sum::<usize>();
            for part in &parts {
                prop_assert!(!part.is_empty() && bytes(part) <= BATCH_BYTES);
            }
            for pair in parts.windows(2) {
                prop_assert!(bytes(&[pair[0], &pair[1][..1]].concat()) > BATCH_BYTES);
            }
        }
    }

    #[test]
    fn an_offset_larger_than_a_batch_is_left_to_the_broker_to_refuse() {
        let large = (TopicPartition::new("orders", 0), 1, "x".repeat(BATCH_BYTES));
        let small = (TopicPartition::new("orders", 1), 1, String::new());
        let offsets = [large, small];
        assert_eq!(batches("group", &offsets), [&offsets[..1], &offsets[1..]]);
    }
}
