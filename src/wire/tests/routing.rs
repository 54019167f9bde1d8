//! Who is asked: leaders, controllers, and what happens when they moved.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use crate::model::{EpochEnd, Isolation};
use crate::wire::testing::{EPOCH, Reply, Request, Scripted, names, place};
use crate::wire::{EpochQuery, NewTopic, OffsetSpec, WireErrorKind};

/// Answers ListOffsets: `error` for the topics named, the asked timestamp + 100 as offset for the others.
fn list_offsets(request: &Request, error: ResponseError, failing: &[&str]) -> Reply {
    let asked: ListOffsetsRequest = request.decode();
    let topics = asked.topics.into_iter().map(|topic| {
        let failed = failing.contains(&topic.name.as_str());
        let partitions = topic.partitions.iter().map(|partition| {
            assert_eq!(partition.current_leader_epoch, EPOCH);
            let answer =
                ListOffsetsPartitionResponse::default().with_partition_index(partition.partition_index);
            match failed {
                true => answer.with_error_code(error.code()),
                false => answer.with_offset(partition.timestamp + 100).with_leader_epoch(EPOCH),
            }
        });
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    request.answer(ListOffsetsResponse::default().with_topics(topics.collect()))
}

#[tokio::test]
async fn only_the_partitions_whose_leader_moved_are_asked_again() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::ListOffsets, 0) => list_offsets(request, ResponseError::NotLeaderOrFollower, &["moved"]),
        (ApiKey::ListOffsets, 1) => {
            let again: ListOffsetsRequest = request.decode();
            assert_eq!(again.topics.len(), 1);
            list_offsets(request, ResponseError::FencedLeaderEpoch, &["moved"])
        }
        (ApiKey::ListOffsets, _) => list_offsets(request, ResponseError::NotLeaderOrFollower, &[]),
        _ => request.standard(),
    })
    .await;
    let queries = [(place("stays"), OffsetSpec::Latest), (place("moved"), OffsetSpec::Earliest)];
    let listed = broker.client().list_offsets(&queries, Isolation::ReadCommitted).await.unwrap();
    let offsets: Vec<_> =
        listed.into_iter().map(|(partition, offset)| (partition, offset.unwrap().offset)).collect();
    assert_eq!(offsets, [(place("stays"), 99), (place("moved"), 98)]);
    assert_eq!((broker.count(ApiKey::ListOffsets), broker.count(ApiKey::Metadata)), (3, 3));
}

#[tokio::test]
async fn a_partition_may_be_asked_about_in_every_way_at_once() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ListOffsets => {
            let asked: ListOffsetsRequest = request.decode();
            // A broker refuses a request that names a partition twice.
            assert_eq!((asked.topics.len(), asked.topics[0].partitions.len()), (1, 1));
            let is_log_end = asked.replica_id == -2;
            assert!(!is_log_end || asked.topics[0].partitions[0].timestamp == -1);
            list_offsets(request, ResponseError::InvalidRequest, &[])
        }
        _ => request.standard(),
    })
    .await;
    let specs = [OffsetSpec::Earliest, OffsetSpec::Latest, OffsetSpec::LogEnd, OffsetSpec::Timestamp(5)];
    let queries = specs.map(|spec| (place("orders"), spec));
    let listed = broker.client().list_offsets(&queries, Isolation::ReadUncommitted).await.unwrap();
    let offsets: Vec<_> = listed.into_iter().map(|(_, offset)| offset.unwrap().offset).collect();
    assert_eq!(offsets, [98, 99, 99, 105]);
}

#[tokio::test]
async fn what_does_not_exist_is_told_at_once_and_spares_the_others() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Metadata => {
            let mut metadata = request.metadata();
            for topic in &mut metadata.topics {
                if topic.name.as_ref().is_some_and(|name| name.as_str() == "gone") {
                    topic.error_code = ResponseError::UnknownTopicOrPartition.code();
                    topic.partitions.clear();
                }
            }
            request.answer(metadata)
        }
        ApiKey::ListOffsets => list_offsets(request, ResponseError::TopicAuthorizationFailed, &["secret"]),
        _ => request.standard(),
    })
    .await;
    let queries = ["gone", "secret", "orders"].map(|topic| (place(topic), OffsetSpec::Latest));
    let listed = broker.client().list_offsets(&queries, Isolation::ReadCommitted).await.unwrap();
    let error = listed[0].1.as_ref().unwrap_err();
    assert!(error.is_unknown_topic() && error.to_string().contains("gone"), "{error}");
    let error = listed[1].1.as_ref().unwrap_err();
    assert!(error.is_unauthorized() && error.to_string().contains("ListOffsets of secret-0"), "{error}");
    assert_eq!(listed[2].1.as_ref().unwrap().offset, 99);
    assert_eq!((broker.count(ApiKey::Metadata), broker.count(ApiKey::ListOffsets)), (1, 1));
}

#[tokio::test]
async fn an_answer_with_a_hole_is_the_brokers_mistake() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ListOffsets => request.answer(ListOffsetsResponse::default()),
        _ => request.standard(),
    })
    .await;
    let queries = [(place("orders"), OffsetSpec::Latest)];
    let listed = broker.client().list_offsets(&queries, Isolation::ReadCommitted).await.unwrap();
    let error = listed[0].1.as_ref().unwrap_err();
    assert!(
        matches!(error.kind(), WireErrorKind::Protocol(text) if text.contains("leaves out orders-0")),
        "{error}"
    );
}

#[tokio::test]
async fn epochs_are_looked_up_as_asked() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::OffsetForLeaderEpoch => {
            let asked: OffsetForLeaderEpochRequest = request.decode();
            let partition = &asked.topics[0].partitions[0];
            assert_eq!((partition.leader_epoch, partition.current_leader_epoch), (5, 6));
            assert_eq!(asked.replica_id, -1);
            let end = EpochEndOffset::default().with_leader_epoch(4).with_end_offset(1234);
            let topic = OffsetForLeaderTopicResult::default()
                .with_topic(asked.topics[0].topic.clone())
                .with_partitions(vec![end]);
            request.answer(OffsetForLeaderEpochResponse::default().with_topics(vec![topic]))
        }
        _ => request.standard(),
    })
    .await;
    let query = EpochQuery { partition: place("orders"), epoch: 5, current_epoch: 6 };
    let ends = broker.client().epoch_ends_once(&[query]).await.unwrap();
    assert_eq!(ends[0].1.as_ref().unwrap(), &EpochEnd { epoch: 4, end_offset: 1234 });
}

#[tokio::test]
async fn a_new_controller_is_looked_for() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::CreateTopics => {
            let asked: CreateTopicsRequest = request.decode();
            assert_eq!(asked.topics[0].replication_factor, -1);
            let code = if request.nth == 0 { ResponseError::NotController.code() } else { 0 };
            let result = CreatableTopicResult::default()
                .with_name(asked.topics[0].name.clone())
                .with_error_code(code)
                .with_topic_config_error_code(0);
            request.answer(CreateTopicsResponse::default().with_topics(vec![result]))
        }
        _ => request.standard(),
    })
    .await;
    let new = NewTopic { name: "orders".into(), partitions: 1, replication_factor: -1, configs: Vec::new() };
    broker.client().create_topic(&new, false).await.unwrap();
    // The controller twice, and the new topic.
    assert_eq!((broker.count(ApiKey::CreateTopics), broker.count(ApiKey::Metadata)), (2, 3));
}

#[tokio::test]
async fn metadata_carries_the_error_of_each_topic() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Metadata => {
            let mut metadata = request.metadata();
            metadata.topics[0].error_code = ResponseError::TopicAuthorizationFailed.code();
            metadata.topics[1].partitions[0].leader_id = (-1).into();
            metadata.topics[1].partitions[0].error_code = ResponseError::LeaderNotAvailable.code();
            request.answer(metadata)
        }
        _ => request.standard(),
    })
    .await;
    let metadata = broker.client().metadata(Some(&names(&["secret", "leaderless"]))).await.unwrap();
    assert!(metadata.topics[0].error.as_ref().unwrap().is_unauthorized());
    let partition = &metadata.topics[1].partitions[0];
    assert_eq!(partition.leader, None);
    assert_eq!(partition.error.as_ref().unwrap().code(), Some(ResponseError::LeaderNotAvailable));
}
