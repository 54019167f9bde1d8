//! A whole cluster: the fake one, which passes the conformance tests of a real one.

use std::time::Duration;

use bytes::Bytes;

use kafka_protocol::messages::ApiKey;

use crate::config::client::SaslSettings;
use crate::fake::FakeCluster;
use crate::model::Codec;
use crate::model::{Isolation, TopicPartition};
use crate::wire::testing::{names, settings};
use crate::wire::{FetchRange, NewRecord, NewTopic, OffsetSpec, Wire};

#[tokio::test]
async fn records_go_through_a_new_topic() {
    // Without a call that is needed once.
    let cluster = FakeCluster::builder().offers(ApiKey::DescribeConfigs, 0, -1).start().await;
    let wire = Wire::new("east".into(), &settings(&cluster.bootstrap())).unwrap();
    let missing = wire.metadata(Some(&names(&["orders"]))).await.unwrap();
    assert!(missing.topics[0].error.as_ref().unwrap().is_unknown_topic());

    let new = NewTopic { name: "orders".into(), partitions: 2, replication_factor: -1, configs: Vec::new() };
    wire.create_topic(&new, false).await.unwrap();
    let metadata = wire.metadata(None).await.unwrap();
    assert_eq!(metadata.topics[0].partitions.len(), 2);
    assert!(metadata.topics[0].id.is_known());

    let partition = TopicPartition::new("orders", 1);
    let record = |value: &'static str| NewRecord {
        timestamp_ms: 1_000,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(value.as_bytes())),
        headers: Vec::new(),
    };
    wire.produce(&partition, &[record("a"), record("b")], Codec::Lz4).await.unwrap();
    assert_eq!(wire.produce(&partition, &[record("c")], Codec::None).await.unwrap().base_offset, 2);
    let queries = [(partition.clone(), OffsetSpec::Earliest), (partition.clone(), OffsetSpec::Latest)];
    let listed = wire.list_offsets(&queries, Isolation::ReadUncommitted).await.unwrap();
    let offsets: Vec<_> = listed.into_iter().map(|(_, listed)| listed.unwrap().offset).collect();
    assert_eq!(offsets, [0, 3]);

    let range = FetchRange {
        partition,
        offset: 1,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
        max_wait: Duration::from_millis(100),
    };
    let read = wire.fetch(&range).await.unwrap();
    let values: Vec<_> = read.records.iter().map(|record| record.value.clone().unwrap()).collect();
    assert_eq!((values, read.next_offset), (vec![Bytes::from("b"), Bytes::from("c")], 3));

    let error = wire.describe_topic_configs(&names(&["orders"])).await.unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    wire.close().await;
}

#[tokio::test]
async fn a_leader_that_moved_is_followed() {
    let cluster = FakeCluster::builder().brokers(2).start().await;
    cluster.create_topic("orders", 1, &[]);
    let wire = Wire::new("east".into(), &settings(&cluster.bootstrap())).unwrap();
    let partition = TopicPartition::new("orders", 0);
    let record = NewRecord { timestamp_ms: 1, key: None, value: Some(Bytes::new()), headers: Vec::new() };
    let brokers: Vec<i32> = wire.metadata(Some(&[])).await.unwrap().brokers.iter().map(|b| b.id).collect();
    for (offset, turn) in (0..).zip([0, 1, 0]) {
        cluster.move_leader("orders", 0, brokers[turn]);
        let before = cluster.count_at(brokers[turn], ApiKey::Produce);
        let written = wire.produce(&partition, std::slice::from_ref(&record), Codec::None).await.unwrap();
        assert_eq!(written.base_offset, offset);
        assert_eq!(cluster.count_at(brokers[turn], ApiKey::Produce), before + 1);
        let queries = [(partition.clone(), OffsetSpec::Latest)];
        let listed = wire.list_offsets(&queries, Isolation::ReadUncommitted).await.unwrap();
        assert_eq!(listed[0].1.as_ref().unwrap().offset, offset + 1);
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_as_one() {
    let cluster = FakeCluster::builder().sasl_plain("mesh", "right").start().await;
    let with_password = |password: &str| {
        let mut settings = settings(&cluster.bootstrap());
        let (mechanism, username) = ("PLAIN".to_owned(), "mesh".to_owned());
        settings.sasl = Some(SaslSettings { mechanism, username, password: password.into() });
        Wire::new("east".into(), &settings).unwrap()
    };
    with_password("right").metadata(None).await.unwrap();
    let error = with_password("wrong").metadata(None).await.unwrap_err();
    assert!(error.is_auth_refused() && !error.is_retriable(), "{error}");
    assert!(error.to_string().contains("wrong user or password for SASL/PLAIN as user `mesh`"), "{error}");
}
