//! OffsetFetch: many groups per request, each with its own failure.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{ApiKey, OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;

use super::coordinators_but;
use crate::model::groups::Committed;
use crate::wire::names::kafka_topic;
use crate::wire::testing::{Reply, Request, Scripted, nobody, offers, place};
use crate::wire::{CommittedOffset, WireError};

/// The groups that a request names.
fn asked(request: &Request) -> Vec<String> {
    let asked: OffsetFetchRequest = request.decode();
    asked.groups.iter().map(|group| group.group_id.to_string()).collect()
}

/// Answers that each group committed 7 for `orders-0`, with its name beside, and `code` for the groups named.
fn committed(request: &Request, code: ResponseError, failing: &[&str]) -> OffsetFetchResponse {
    let groups = asked(request).into_iter().rev().map(|group| {
        let mut answer = OffsetFetchResponseGroup::default();
        if failing.contains(&group.as_str()) {
            answer.error_code = code.code();
        } else {
            let partition = OffsetFetchResponsePartitions::default()
                .with_committed_offset(7)
                .with_committed_leader_epoch(3)
                .with_metadata(Some(StrBytes::from_string(group.clone())));
            let topic = OffsetFetchResponseTopics::default().with_name(kafka_topic(&"orders".into()));
            answer.topics = vec![topic.with_partitions(vec![partition])];
        }
        answer.with_group_id(StrBytes::from_string(group).into())
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn reply(request: &Request) -> Reply {
    match request.api {
        ApiKey::OffsetFetch => request.answer(committed(request, ResponseError::NotCoordinator, &[])),
        _ => request.standard(),
    }
}

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

type CommittedAnswers = HashMap<String, Result<Vec<CommittedOffset>, WireError>>;

/// The texts beside a group's commits, or its error.
fn texts(answers: &CommittedAnswers, group: &str) -> Result<Vec<String>, WireError> {
    let offsets = answers[group].as_ref().map_err(Clone::clone)?;
    Ok(offsets.iter().map(|offset| offset.committed.as_ref().unwrap().metadata.clone()).collect())
}

#[tokio::test]
async fn five_thousand_groups_take_35_requests_and_then_25() {
    let broker = Scripted::start(reply).await;
    let wire = broker.client();
    let names: Vec<String> = (0..5_000).map(|n| format!("group-{n}")).collect();
    for requests in [25, 50] {
        let answers = wire.committed_offsets(&names, true).await;
        assert_eq!(answers.len(), names.len());
        for name in &names {
            assert_eq!(texts(&answers, name).unwrap(), std::slice::from_ref(name));
        }
        assert_eq!(
            (broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetFetch)),
            (10, requests)
        );
    }
    assert_eq!(broker.connections(), 2);
}

#[tokio::test]
async fn an_offset_comes_with_all_that_was_committed_beside_it() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::OffsetFetch => {
            let asked: OffsetFetchRequest = request.decode();
            assert_eq!((request.version, asked.require_stable), (9, true));
            assert!(asked.groups[0].topics.is_none() && asked.groups[0].member_id.is_none());
            let mut answer = committed(request, ResponseError::NotCoordinator, &[]);
            let partitions = &mut answer.groups[0].topics[0].partitions;
            let other = |index| partitions[0].clone().with_partition_index(index);
            let unstable = other(1).with_error_code(ResponseError::UnstableOffsetCommit.code());
            let none = other(2).with_committed_offset(-1);
            let untold = other(3).with_metadata(None).with_committed_leader_epoch(-1);
            partitions.extend([unstable.with_committed_offset(-1), none, untold]);
            request.answer(answer)
        }
        _ => request.standard(),
    })
    .await;
    let answers = broker.client().committed_offsets(&groups(&["a", "a"]), true).await;
    let offsets = answers["a"].as_ref().unwrap();
    let places: Vec<i32> = offsets.iter().map(|offset| offset.partition.partition).collect();
    assert_eq!(places, [0, 1, 3]);
    assert_eq!(offsets[0].partition, place("orders"));
    let committed =
        |leader_epoch, metadata: &str| Committed { offset: 7, leader_epoch, metadata: metadata.into() };
    assert_eq!(offsets[0].committed.as_ref().unwrap(), &committed(3, "a"));
    assert_eq!(offsets[2].committed.as_ref().unwrap(), &committed(-1, ""));
    let error = offsets[1].committed.as_ref().unwrap_err();
    assert!(error.is_unstable_offset() && error.to_string().contains("OffsetFetch of orders-1"), "{error}");
    assert_eq!(broker.count(ApiKey::OffsetFetch), 1);
}

#[tokio::test]
async fn only_the_group_that_moved_is_looked_up_and_asked_again() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::OffsetFetch, 0) => {
            request.answer(committed(request, ResponseError::NotCoordinator, &["moved"]))
        }
        (ApiKey::OffsetFetch, nth) => {
            assert_eq!(asked(request), ["moved"]);
            let code = if nth == 1 {
                ResponseError::CoordinatorLoadInProgress
            } else {
                ResponseError::InvalidGroupId
            };
            request.answer(committed(request, code, if nth == 1 { &["moved"] } else { &[] }))
        }
        (ApiKey::FindCoordinator, 1) => {
            request.answer(coordinators_but(request, ResponseError::CoordinatorNotAvailable, &["moved"]))
        }
        _ => request.standard(),
    })
    .await;
    let answers = broker.client().committed_offsets(&groups(&["stays", "moved"]), true).await;
    assert_eq!(texts(&answers, "stays").unwrap(), ["stays"]);
    assert_eq!(texts(&answers, "moved").unwrap(), ["moved"]);
    // While a coordinator loads, it is the coordinator.
    assert_eq!((broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetFetch)), (3, 3));
}

#[tokio::test]
async fn a_missing_right_is_the_groups_own() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::FindCoordinator => {
            request.answer(coordinators_but(request, ResponseError::GroupAuthorizationFailed, &["hidden"]))
        }
        ApiKey::OffsetFetch => {
            request.answer(committed(request, ResponseError::GroupAuthorizationFailed, &["locked"]))
        }
        _ => request.standard(),
    })
    .await;
    let answers = broker.client().committed_offsets(&groups(&["hidden", "locked", "open"]), false).await;
    assert_eq!(texts(&answers, "open").unwrap(), ["open"]);
    for (group, call) in [("hidden", "FindCoordinator"), ("locked", "OffsetFetch")] {
        let error = texts(&answers, group).unwrap_err();
        assert!(error.is_group_unauthorized() && error.is_unauthorized(), "{error}");
        assert!(error.to_string().contains(&format!("{call} of group `{group}`")), "{error}");
    }
    assert_eq!((broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetFetch)), (1, 1));
}

#[tokio::test]
async fn groups_of_a_dead_coordinator_leave_the_others_alone() {
    let (_held, dead) = nobody();
    let broker = Scripted::start(move |request| match request.api {
        ApiKey::FindCoordinator => {
            let mut answer = request.coordinators();
            for found in answer.coordinators.iter_mut().filter(|found| found.key.as_str() == "lost") {
                (found.node_id, found.port) = (2.into(), dead.port().into());
            }
            request.answer(answer)
        }
        _ => reply(request),
    })
    .await;
    let answers = broker.client().committed_offsets(&groups(&["lost", "open"]), true).await;
    assert_eq!(texts(&answers, "open").unwrap(), ["open"]);
    let error = texts(&answers, "lost").unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("group `lost`"), "{error}");
    assert_eq!(broker.count(ApiKey::OffsetFetch), 1);
}

#[tokio::test]
async fn a_coordinator_is_reached_where_it_says_that_it_listens() {
    let (_held, stale) = nobody();
    let broker = Scripted::start(move |request| match request.api {
        ApiKey::Metadata => {
            let mut answer = request.metadata();
            answer.brokers[0].port = stale.port().into();
            request.answer(answer)
        }
        _ => reply(request),
    })
    .await;
    let wire = broker.client();
    wire.metadata(None).await.unwrap();
    let answers = wire.committed_offsets(&groups(&["a"]), true).await;
    assert_eq!(texts(&answers, "a").unwrap(), ["a"]);
}

#[tokio::test]
async fn a_group_that_the_answer_leaves_out_is_told() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::OffsetFetch => request.answer(OffsetFetchResponse::default()),
        ApiKey::FindCoordinator => {
            let mut answer = request.coordinators();
            answer.coordinators.retain(|found| found.key.as_str() == "b");
            request.answer(answer)
        }
        _ => request.standard(),
    })
    .await;
    let answers = broker.client().committed_offsets(&groups(&["a", "b"]), true).await;
    for group in ["a", "b"] {
        let error = texts(&answers, group).unwrap_err();
        assert!(error.to_string().contains(&format!("leaves out group `{group}`")), "{error}");
    }
}

#[tokio::test]
async fn before_kafka_3_0_groups_are_asked_about_one_by_one() {
    for (version, coordinators) in [(2, 0), (6, 2), (7, 3)] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::ApiVersions => request.answer(offers(&[
                (ApiKey::OffsetFetch, 0, version),
                (ApiKey::FindCoordinator, 0, coordinators),
            ])),
            ApiKey::OffsetFetch => {
                let asked: OffsetFetchRequest = request.decode();
                assert!(asked.topics.is_none());
                assert_eq!(asked.require_stable, version == 7);
                let group = asked.group_id.to_string();
                if group == "locked" {
                    let code = ResponseError::GroupAuthorizationFailed.code();
                    return request.answer(OffsetFetchResponse::default().with_error_code(code));
                }
                let partition = OffsetFetchResponsePartition::default()
                    .with_committed_offset(7)
                    .with_metadata(Some(StrBytes::from_string(group)));
                let topic = OffsetFetchResponseTopic::default()
                    .with_name(kafka_topic(&"orders".into()))
                    .with_partitions(vec![partition]);
                request.answer(OffsetFetchResponse::default().with_topics(vec![topic]))
            }
            _ => request.standard(),
        })
        .await;
        let answers = broker.client().committed_offsets(&groups(&["a", "b", "locked"]), true).await;
        assert_eq!(texts(&answers, "a").unwrap(), ["a"]);
        assert_eq!(texts(&answers, "b").unwrap(), ["b"]);
        assert!(texts(&answers, "locked").unwrap_err().is_group_unauthorized());
        assert_eq!((broker.count(ApiKey::FindCoordinator), broker.count(ApiKey::OffsetFetch)), (3, 3));
    }
}
