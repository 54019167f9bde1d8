//! Producer ids, and what leaders know of producers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, InitProducerIdRequest,
    InitProducerIdResponse,
};

use crate::wire::ActiveProducer;
use crate::wire::testing::{Scripted, offers, place};

#[tokio::test]
async fn a_cluster_that_has_just_started_is_asked_again_for_a_producer_id() {
    for version in [0, 2, 3, 4] {
        let broker = Scripted::start(move |request| match (request.api, request.nth) {
            (ApiKey::ApiVersions, _) => request.answer(offers(&[(ApiKey::InitProducerId, 0, version)])),
            (ApiKey::InitProducerId, nth) => {
                let asked: InitProducerIdRequest = request.decode();
                assert_eq!(request.version, version);
                assert_eq!(
                    (asked.transactional_id, asked.producer_id.0, asked.producer_epoch),
                    (None, -1, -1)
                );
                let code = match nth {
                    0 => ResponseError::CoordinatorLoadInProgress.code(),
                    1 => ResponseError::CoordinatorNotAvailable.code(),
                    _ => 0,
                };
                let answer = InitProducerIdResponse::default().with_error_code(code);
                request.answer(answer.with_producer_id(4711.into()).with_producer_epoch(2))
            }
            _ => request.standard(),
        })
        .await;
        assert_eq!(broker.client().init_producer_id().await.unwrap(), (4711, 2));
        assert_eq!(broker.count(ApiKey::InitProducerId), 3);
    }
}

#[tokio::test]
async fn a_producer_id_that_is_refused_is_told() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::InitProducerId => {
            let code = ResponseError::ClusterAuthorizationFailed.code();
            request.answer(InitProducerIdResponse::default().with_error_code(code))
        }
        _ => request.standard(),
    })
    .await;
    let error = broker.client().init_producer_id().await.unwrap_err();
    assert!(error.is_unauthorized() && error.to_string().contains("InitProducerId"), "{error}");
    assert_eq!(broker.count(ApiKey::InitProducerId), 1);
}

#[tokio::test]
async fn producers_are_told_by_partition() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::DescribeProducers => {
            let asked: DescribeProducersRequest = request.decode();
            // In another order than asked for.
            let topics = asked.topics.iter().rev().map(|topic| {
                let mut partition =
                    PartitionResponse::default().with_partition_index(topic.partition_indexes[0]);
                if topic.name.as_str() == "locked" {
                    partition.error_code = ResponseError::TopicAuthorizationFailed.code();
                } else {
                    partition.active_producers = vec![
                        ProducerState::default()
                            .with_producer_id(4711.into())
                            .with_producer_epoch(3)
                            .with_last_sequence(99)
                            .with_last_timestamp(1_700_000_000_000),
                    ];
                }
                TopicResponse::default().with_name(topic.name.clone()).with_partitions(vec![partition])
            });
            request.answer(DescribeProducersResponse::default().with_topics(topics.collect()))
        }
        _ => request.standard(),
    })
    .await;
    let places = ["orders", "locked"].map(place);
    let answers = broker.client().describe_producers(&places).await.unwrap();
    assert!(answers.iter().map(|(place, _)| place).eq(&places));
    let expected =
        ActiveProducer { id: 4711, epoch: 3, last_sequence: 99, last_timestamp_ms: 1_700_000_000_000 };
    assert_eq!(answers[0].1.as_ref().unwrap(), &[expected]);
    let error = answers[1].1.as_ref().unwrap_err();
    assert!(
        error.is_unauthorized() && error.to_string().contains("DescribeProducers of locked-0"),
        "{error}"
    );
}

#[tokio::test]
async fn brokers_before_2_8_say_that_they_cannot_tell() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => request.answer(offers(&[(ApiKey::DescribeProducers, 1, 0)])),
        _ => request.standard(),
    })
    .await;
    let answers = broker.client().describe_producers(&[place("orders")]).await.unwrap();
    assert!(answers[0].1.as_ref().unwrap_err().is_unsupported());
}
