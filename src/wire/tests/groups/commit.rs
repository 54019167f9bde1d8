//! OffsetCommit for groups without members: a request per group, each with its own outcome.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};
use parking_lot::Mutex;

use crate::model::TopicPartition;
use crate::wire::GroupCommit;
use crate::wire::testing::{Reply, Request, Scripted, offers, place};

/// A commit of 7 for each of the topics.
fn commit(group: &str, topics: &[&str]) -> GroupCommit {
    let offsets = topics.iter().map(|topic| (place(topic), 7, format!("left by {group}")));
    GroupCommit { group: group.to_owned(), offsets: offsets.collect() }
}

/// Answers a commit with a code per topic, topics in another order than asked for.
fn outcome(request: &Request, code: impl Fn(&str) -> Option<ResponseError>) -> OffsetCommitResponse {
    let asked: OffsetCommitRequest = request.decode();
    let topics = asked.topics.into_iter().rev().map(|topic| {
        let code = code(topic.name.as_str()).map_or(0, |code| code.code());
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn group(request: &Request) -> String {
    request.decode::<OffsetCommitRequest>().group_id.to_string()
}

#[tokio::test]
async fn a_commit_is_nobodys_and_each_group_and_partition_has_its_outcome() {
    for version in [2, 5, 6, 9] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::ApiVersions => request.answer(offers(&[(ApiKey::OffsetCommit, 0, version)])),
            ApiKey::OffsetCommit => {
                let asked: OffsetCommitRequest = request.decode();
                assert_eq!(request.version, version);
                let member = (asked.member_id.as_str(), asked.group_instance_id.as_ref());
                assert_eq!((asked.generation_id_or_member_epoch, member), (-1, ("", None)));
                assert_eq!(asked.retention_time_ms, -1);
                let partition = &asked.topics[0].partitions[0];
                assert_eq!((partition.committed_offset, partition.committed_leader_epoch), (7, -1));
                let text = format!("left by {}", asked.group_id.as_str());
                assert_eq!(partition.committed_metadata.as_ref().unwrap().as_str(), text);
                let group = group(request);
                request.answer(outcome(request, |topic| match (group.as_str(), topic) {
                    ("active", _) => Some(ResponseError::UnknownMemberId),
                    ("locked", _) => Some(ResponseError::GroupAuthorizationFailed),
                    (_, "missing") => Some(ResponseError::UnknownTopicOrPartition),
                    _ => None,
                }))
            }
            _ => request.standard(),
        })
        .await;
        let names = ["open", "active", "locked", "idle"];
        let mut commits: Vec<_> = names.iter().map(|group| commit(group, &["orders", "missing"])).collect();
        commits[3].offsets.clear();
        let outcomes = broker.client().commit_offsets(commits).await;
        assert!(outcomes.iter().map(|(group, _)| group.as_str()).eq(names));
        let open = outcomes[0].1.as_ref().unwrap();
        assert_eq!((&open[0].0, open[0].1.is_ok()), (&place("orders"), true));
        let error = open[1].1.as_ref().unwrap_err();
        assert!(error.is_unknown_topic() && error.to_string().contains("of missing-0"), "{error}");
        let error = outcomes[1].1.as_ref().unwrap_err();
        assert!(error.is_unknown_member() && !error.is_outcome_unknown(), "{error}");
        assert!(error.to_string().contains("OffsetCommit of group `active`"), "{error}");
        assert!(outcomes[2].1.as_ref().unwrap_err().is_group_unauthorized());
        assert!(outcomes[3].1.as_ref().unwrap().is_empty());
        assert_eq!(broker.count(ApiKey::OffsetCommit), 3);
    }
}

#[tokio::test]
async fn five_thousand_groups_take_a_request_each_over_sixteen_connections() {
    let groups = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = groups.clone();
    let broker = Scripted::start(move |request| match request.api {
        ApiKey::OffsetCommit => {
            assert!(seen.lock().insert(group(request)), "a group is committed for once");
            request.answer(outcome(request, |_| None))
        }
        _ => request.standard(),
    })
    .await;
    let commits: Vec<_> = (0..5_000).map(|n| commit(&format!("group-{n}"), &["orders"])).collect();
    let names: Vec<String> = commits.iter().map(|commit| commit.group.clone()).collect();
    let outcomes = broker.client().commit_offsets(commits).await;
    assert!(outcomes.iter().map(|(group, _)| group).eq(&names));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.as_ref().unwrap()[0].1.is_ok()));
    assert_eq!((broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetCommit)), (10, 5_000));
    // Sixteen for commits, one for look-ups.
    assert_eq!((groups.lock().len(), broker.connections()), (5_000, 17));
}

#[tokio::test]
async fn a_commit_to_a_coordinator_that_moved_is_sent_again() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::OffsetCommit, 0) => {
            request.answer(outcome(request, |_| Some(ResponseError::NotCoordinator)))
        }
        (ApiKey::OffsetCommit, 1) => {
            request.answer(outcome(request, |_| Some(ResponseError::CoordinatorLoadInProgress)))
        }
        (ApiKey::OffsetCommit, _) => request.answer(outcome(request, |_| None)),
        _ => request.standard(),
    })
    .await;
    let outcomes = broker.client().commit_offsets(vec![commit("a", &["orders"])]).await;
    assert!(outcomes[0].1.as_ref().unwrap()[0].1.is_ok());
    assert_eq!((broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetCommit)), (2, 3));
}

#[tokio::test]
async fn a_commit_that_may_have_been_carried_out_is_not_repeated() {
    for lost in [true, false] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::OffsetCommit if lost => Reply::Close,
            ApiKey::OffsetCommit => {
                request.answer(outcome(request, |_| Some(ResponseError::CoordinatorNotAvailable)))
            }
            _ => request.standard(),
        })
        .await;
        let outcomes = broker.client().commit_offsets(vec![commit("a", &["orders"])]).await;
        let error = outcomes[0].1.as_ref().unwrap_err();
        assert!(error.is_outcome_unknown() && error.is_retriable(), "{error}");
        assert_eq!(broker.count(ApiKey::OffsetCommit), 1);
    }
}

#[tokio::test]
async fn a_group_with_very_many_offsets_takes_several_requests() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    let broker = Scripted::start(move |request| match request.api {
        ApiKey::OffsetCommit => {
            let asked: OffsetCommitRequest = request.decode();
            seen.lock().push(asked.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>());
            request.answer(outcome(request, |_| None))
        }
        _ => request.standard(),
    })
    .await;
    let offsets =
        (0..10_000).map(|index| (TopicPartition::new("orders", index), index.into(), String::new()));
    let commit = GroupCommit { group: "wide".to_owned(), offsets: offsets.collect() };
    let outcomes = broker.client().commit_offsets(vec![commit]).await;
    let results = outcomes[0].1.as_ref().unwrap();
    assert!(results.iter().map(|(partition, _)| partition.partition).eq(0..10_000));
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    let sizes = sizes.lock();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (2, 10_000));
}
