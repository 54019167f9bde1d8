//! Brokers that offer less: what is done without, and what is said where that can't be.

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ApiKey, CreateTopicsRequest, CreateTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use crate::model::TopicId;
use crate::wire::testing::{Reply, Request, Scripted, names, offers, place};
use crate::wire::{ClusterRights, ConfigChange, EpochQuery, NewTopic, TopicRights};

/// What Kafka 2.1 offers, as far as we ask.
const KAFKA_2_1: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Metadata, 0, 7),
    (ApiKey::ListOffsets, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 0, 2),
    (ApiKey::CreateTopics, 0, 3),
    (ApiKey::CreatePartitions, 0, 1),
    (ApiKey::DescribeConfigs, 0, 2),
    (ApiKey::AlterConfigs, 0, 1),
    (ApiKey::IncrementalAlterConfigs, 1, 0),
    (ApiKey::DescribeCluster, 1, 0),
    (ApiKey::Fetch, 0, 10),
    (ApiKey::Produce, 0, 7),
];

fn describe_configs(request: &Request, entries: &[(&str, &str, i8)]) -> Reply {
    let asked: DescribeConfigsRequest = request.decode();
    let configs = entries.iter().map(|(name, value, source)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string((*name).to_owned()))
            .with_value(Some(StrBytes::from_string((*value).to_owned())))
            .with_config_source(*source)
    });
    let result = DescribeConfigsResult::default()
        .with_resource_type(asked.resources[0].resource_type)
        .with_resource_name(asked.resources[0].resource_name.clone())
        .with_configs(configs.collect());
    request.answer(DescribeConfigsResponse::default().with_results(vec![result]))
}

#[tokio::test]
async fn topics_have_no_id_and_rights_are_unknown_on_kafka_2_1() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => request.answer(offers(KAFKA_2_1)),
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let metadata = wire.metadata(Some(&names(&["orders"]))).await.unwrap();
    assert_eq!(metadata.topics[0].id, TopicId::default());
    let rights = wire.topic_rights(&names(&["orders"])).await.unwrap();
    assert_eq!(rights[0].1.as_ref().unwrap(), &TopicRights::default());
    assert_eq!(wire.cluster_rights().await.unwrap(), ClusterRights::default());
}

#[tokio::test]
async fn configuration_is_replaced_as_a_whole_before_kafka_2_3() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => request.answer(offers(KAFKA_2_1)),
        ApiKey::DescribeConfigs => describe_configs(
            request,
            &[("cleanup.policy", "compact", 1), ("retention.ms", "5", 1), ("segment.bytes", "9", 5)],
        ),
        ApiKey::AlterConfigs => {
            let asked: AlterConfigsRequest = request.decode();
            let entries: Vec<_> = asked.resources[0]
                .configs
                .iter()
                .map(|entry| (entry.name.as_str(), entry.value.as_ref().map(|value| value.as_str())))
                .collect();
            assert_eq!(entries, [("cleanup.policy", Some("compact")), ("retention.ms", Some("6"))]);
            assert!(!asked.validate_only);
            let result = alter_configs_response::AlterConfigsResourceResponse::default();
            request.answer(AlterConfigsResponse::default().with_responses(vec![result]))
        }
        _ => request.standard(),
    })
    .await;
    let change = ConfigChange::Set("retention.ms".into(), "6".into());
    broker.client().alter_topic_config(&"orders".into(), &[change], false).await.unwrap();
    assert_eq!(broker.count(ApiKey::AlterConfigs), 1);
}

#[tokio::test]
async fn the_default_replication_factor_is_asked_for_before_kafka_2_4() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => request.answer(offers(KAFKA_2_1)),
        ApiKey::DescribeConfigs => describe_configs(request, &[("default.replication.factor", "2", 4)]),
        ApiKey::CreateTopics => {
            let asked: CreateTopicsRequest = request.decode();
            assert_eq!((request.version, asked.topics[0].replication_factor), (3, 2));
            let result = CreatableTopicResult::default().with_name(asked.topics[0].name.clone());
            request.answer(CreateTopicsResponse::default().with_topics(vec![result]))
        }
        _ => request.standard(),
    })
    .await;
    let new = NewTopic { name: "orders".into(), partitions: 1, replication_factor: -1, configs: Vec::new() };
    broker.client().create_topic(&new, true).await.unwrap();
    assert_eq!(broker.count(ApiKey::CreateTopics), 1);
}

#[tokio::test]
async fn a_call_that_is_not_offered_is_told_as_such() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ApiVersions => {
            let special = [(ApiKey::OffsetForLeaderEpoch, 0, 1), (ApiKey::DescribeConfigs, 1, 0)];
            request.answer(offers(&special))
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    assert!(!wire.supports(ApiKey::DescribeConfigs).await.unwrap());
    assert!(wire.supports(ApiKey::OffsetForLeaderEpoch).await.unwrap());
    let error = wire.describe_topic_configs(&names(&["orders"])).await.unwrap_err();
    assert!(error.is_unsupported() && !error.is_retriable(), "{error}");
    assert!(error.to_string().contains("DescribeConfigs is missing"), "{error}");
    let query = EpochQuery { partition: place("orders"), epoch: 0, current_epoch: -1 };
    let ends = wire.epoch_ends_once(&[query]).await.unwrap();
    let error = ends[0].1.as_ref().unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert!(error.to_string().contains("versions 0 to 1, versions 2 to 4 are needed"), "{error}");
}
