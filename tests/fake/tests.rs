//! The fake cluster's controls: what conformance with a real one can't show.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};
use mirrormesh::batch::BatchBuilder;
use mirrormesh::model::Codec;
use mirrormesh::model::groups::GroupState;
use mirrormesh::model::{Isolation, TopicPartition};
use mirrormesh::wire::{
    EpochQuery, FetchRange, FetchedRecords, GroupCommit, NewRecord, OffsetSpec, Wire, WireError,
};

use crate::fake::{FakeCluster, Fault, Reply, Right};
use crate::wire::testing::{names, place, settings};

fn client(cluster: &FakeCluster) -> Wire {
    Wire::new("east".into(), &settings(&cluster.bootstrap())).unwrap()
}

async fn write(wire: &Wire, topic: &str, value: &str) -> Result<i64, WireError> {
    let value = Some(value.as_bytes().to_vec().into());
    let record = NewRecord { timestamp_ms: 1_000, key: Some("key".into()), value, headers: Vec::new() };
    Ok(wire.produce(&place(topic), &[record], Codec::None).await?.base_offset)
}

fn range(topic: &str, offset: i64, isolation: Isolation, max_wait: Duration) -> FetchRange {
    FetchRange { partition: place(topic), offset, max_bytes: 1 << 20, isolation, max_wait }
}

async fn read(wire: &Wire, topic: &str, offset: i64) -> Result<FetchedRecords, WireError> {
    wire.fetch(&range(topic, offset, Isolation::ReadCommitted, Duration::ZERO)).await
}

fn values(read: &FetchedRecords) -> Vec<&str> {
    read.records.iter().map(|record| str::from_utf8(record.value.as_ref().unwrap()).unwrap()).collect()
}

/// The end of a log, for readers of committed records.
async fn end(wire: &Wire, topic: &str, spec: OffsetSpec) -> i64 {
    let listed = wire.list_offsets(&[(place(topic), spec)], Isolation::ReadCommitted).await.unwrap();
    listed[0].1.as_ref().unwrap().offset
}

#[tokio::test]
async fn a_fault_strikes_what_it_names_so_often_as_it_says() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    cluster.create_topic("others", 1, &[]);
    cluster.fail(Fault::of(ApiKey::Produce, ResponseError::TopicAuthorizationFailed).on("orders").times(2));
    for _ in 0..2 {
        assert!(write(&wire, "orders", "a").await.unwrap_err().is_unauthorized());
        write(&wire, "others", "a").await.unwrap();
    }
    assert_eq!(write(&wire, "orders", "a").await.unwrap(), 0);
    cluster.fail(Fault::of(ApiKey::Produce, ResponseError::PolicyViolation));
    for topic in ["orders", "others", "orders"] {
        let error = write(&wire, topic, "a").await.unwrap_err();
        assert_eq!(error.code(), Some(ResponseError::PolicyViolation));
    }
    cluster.heal();
    assert_eq!(write(&wire, "orders", "a").await.unwrap(), 1);
    assert_eq!(cluster.values("others", 0), ["a", "a"]);
    assert_eq!(cluster.count(ApiKey::Produce), 9);
}

#[tokio::test]
async fn a_gate_holds_requests_that_name_a_topic_until_it_opens() {
    let cluster = FakeCluster::start().await;
    cluster.create_topic("orders", 1, &[]);
    cluster.create_topic("others", 1, &[]);
    let gate = cluster.hold_naming(ApiKey::Produce, "orders");
    let (held, free) = (client(&cluster), client(&cluster));
    let open = async {
        cluster.await_count(ApiKey::Produce, 1).await;
        write(&free, "others", "b").await.unwrap();
        assert_eq!(cluster.offsets("orders", 0), (0, 0));
        gate.open();
    };
    let (written, ()) = tokio::join!(write(&held, "orders", "a"), open);
    assert_eq!(written.unwrap(), 0);
    // One that is dropped is open too.
    drop(cluster.hold(ApiKey::Produce));
    assert_eq!(write(&free, "orders", "c").await.unwrap(), 1);
}

#[tokio::test]
async fn interceptors_answer_in_a_brokers_place_and_lose_answers() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    cluster.intercept(ApiKey::Produce, |request| (request.nth == 0).then_some(Reply::Lose));
    let error = write(&wire, "orders", "a").await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(cluster.values("orders", 0), ["a"]);
    assert_eq!(write(&wire, "orders", "b").await.unwrap(), 1);
    // The last one that was set is asked first; another call is left alone.
    cluster.intercept(ApiKey::Produce, |_| Some(Reply::Close));
    assert!(write(&wire, "orders", "c").await.unwrap_err().is_outcome_unknown());
    assert_eq!(values(&read(&wire, "orders", 0).await.unwrap()), ["a", "b"]);
    cluster.intercept(ApiKey::ApiVersions, |request| Some(request.answer(ApiVersionsResponse::default())));
    assert!(client(&cluster).metadata(None).await.unwrap_err().is_unsupported());
}

#[tokio::test]
async fn a_broker_that_stops_is_replaced_and_comes_back_where_it_was() {
    let cluster = FakeCluster::builder().brokers(2).start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    write(&wire, "orders", "a").await.unwrap();
    let address = cluster.address(1);
    cluster.stop_broker(1).await;
    assert_eq!((cluster.leader("orders", 0), cluster.epoch("orders", 0)), (Some(2), 1));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(read(&wire, "orders", 0).await.unwrap().records.len(), 1);
    assert_eq!(write(&wire, "orders", "b").await.unwrap(), 1);
    let seen = wire.metadata(None).await.unwrap();
    assert_eq!(seen.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), [2]);
    assert_eq!((seen.topics[0].partitions[0].isr.clone(), seen.controller), (vec![2], Some(2)));
    cluster.stop_broker(2).await;
    assert_eq!(cluster.leader("orders", 0), None);
    cluster.start_broker(1).await;
    assert_eq!((cluster.address(1), cluster.leader("orders", 0)), (address, Some(1)));
    assert_eq!(values(&read(&wire, "orders", 0).await.unwrap()), ["a", "b"]);
}

#[tokio::test]
async fn epochs_begin_with_leaders_and_a_log_that_was_cut_tells_where() {
    let cluster = FakeCluster::builder().brokers(2).start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    for (leader, value) in [(1, "a"), (2, "b"), (1, "c")] {
        cluster.move_leader("orders", 0, leader);
        write(&wire, "orders", value).await.unwrap();
    }
    let heads = |cluster: &FakeCluster| -> Vec<_> {
        let batches = cluster.batches("orders", 0);
        batches.iter().map(|batch| (batch.header().base_offset, batch.header().leader_epoch)).collect()
    };
    assert_eq!(heads(&cluster), [(0, 1), (1, 2), (2, 3)]);
    let ends = async |epochs: &[i32]| -> Vec<_> {
        let query = |epoch| EpochQuery { partition: place("orders"), epoch, current_epoch: -1 };
        let queries: Vec<_> = epochs.iter().map(|epoch| query(*epoch)).collect();
        let ends = wire.epoch_ends_once(&queries).await.unwrap();
        ends.into_iter().map(|(_, end)| end.map(|end| (end.epoch, end.end_offset)).unwrap()).collect()
    };
    // Epoch 0 had no record: the next one began where it did.
    assert_eq!(ends(&[0, 1, 2, 3, 4]).await, [(0, 0), (1, 1), (2, 2), (3, 3), (-1, -1)]);
    cluster.truncate("orders", 0, 1);
    assert_eq!((heads(&cluster), cluster.epoch("orders", 0)), (vec![(0, 1)], 4));
    wire.metadata(None).await.unwrap();
    assert_eq!(ends(&[1, 2, 3, 4]).await, [(1, 1), (1, 1), (1, 1), (4, 1)]);
    cluster.remove_leader("orders", 0);
    assert!(wire.metadata(None).await.unwrap().topics[0].partitions[0].leader.is_none());
}

#[tokio::test]
async fn transactions_end_with_markers_and_hold_the_last_stable_offset() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    let within = |producer: i64, sequence, value: &str| {
        let mut batch = BatchBuilder::new(Codec::None).producer(producer, 0, sequence).transactional(true);
        batch.push(1_000, Some(b"key"), Some(value.as_bytes()), &[]);
        batch
    };
    cluster.append("orders", 0, within(7, 0, "aborted"));
    cluster.append("orders", 0, within(8, 0, "committed"));
    assert_eq!(end(&wire, "orders", OffsetSpec::Latest).await, 0);
    assert_eq!(end(&wire, "orders", OffsetSpec::LogEnd).await, 2);
    assert!(read(&wire, "orders", 0).await.unwrap().records.is_empty());
    let producers = wire.describe_producers(&[place("orders")]).await.unwrap();
    let ids: Vec<_> =
        producers[0].1.as_ref().unwrap().iter().map(|known| (known.id, known.last_sequence)).collect();
    assert_eq!(ids, [(7, 0), (8, 0)]);
    cluster.end_transaction("orders", 0, (8, 0), true);
    assert_eq!(end(&wire, "orders", OffsetSpec::Latest).await, 0);
    assert_eq!(cluster.end_transaction("orders", 0, (7, 0), false), 3);
    assert_eq!(end(&wire, "orders", OffsetSpec::Latest).await, 4);
    let committed = read(&wire, "orders", 0).await.unwrap();
    assert_eq!((values(&committed), committed.next_offset, committed.last_stable), (vec!["committed"], 4, 4));
    let all = range("orders", 0, Isolation::ReadUncommitted, Duration::ZERO);
    assert_eq!(values(&wire.fetch(&all).await.unwrap()), ["aborted", "committed"]);
}

#[tokio::test]
async fn the_cleaner_leaves_the_last_of_each_key_and_retention_the_rest() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[("cleanup.policy", "compact")]);
    cluster.produce("orders", 0, &[("a", "1"), ("b", "2"), ("a", "3")]);
    cluster.produce("orders", 0, &[("a", "4")]);
    cluster.produce("orders", 0, &[("c", "5"), ("c", "6")]);
    cluster.compact("orders");
    let found = read(&wire, "orders", 0).await.unwrap();
    let offsets: Vec<_> = found.records.iter().map(|record| record.offset).collect();
    assert_eq!((values(&found), offsets, found.next_offset), (vec!["2", "4", "5", "6"], vec![1, 3, 4, 5], 6));
    let heads = cluster.batches("orders", 0);
    let heads: Vec<_> = heads.iter().map(|b| (b.header().base_offset, b.header().next_offset())).collect();
    assert_eq!(heads, [(0, 3), (3, 4), (4, 6)], "their offsets stay");
    cluster.delete_records("orders", 0, 4);
    assert_eq!(cluster.offsets("orders", 0), (4, 6));
    let error = read(&wire, "orders", 3).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::OffsetOutOfRange));
    assert_eq!(values(&read(&wire, "orders", 4).await.unwrap()), ["5", "6"]);
    cluster.damage("orders", 0, 4);
    assert!(read(&wire, "orders", 4).await.is_err());
}

#[tokio::test]
async fn replicas_that_lag_hold_the_high_watermark() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    write(&wire, "orders", "a").await.unwrap();
    cluster.hold_high_watermark("orders", 0, true);
    write(&wire, "orders", "b").await.unwrap();
    assert_eq!(end(&wire, "orders", OffsetSpec::Latest).await, 1);
    assert_eq!(end(&wire, "orders", OffsetSpec::LogEnd).await, 2);
    let patient = range("orders", 1, Isolation::ReadCommitted, Duration::from_secs(600));
    let fetches = cluster.count(ApiKey::Fetch);
    let follow = async {
        cluster.await_count(ApiKey::Fetch, fetches + 1).await;
        cluster.hold_high_watermark("orders", 0, false);
    };
    let (fetched, ()) = tokio::join!(wire.fetch(&patient), follow);
    assert_eq!(values(&fetched.unwrap()), ["b"]);
}

#[tokio::test]
async fn what_is_denied_is_refused_and_told() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    cluster.deny_topic("orders", &[Right::Write, Right::AlterConfigs]);
    assert!(write(&wire, "orders", "a").await.unwrap_err().is_unauthorized());
    read(&wire, "orders", 0).await.unwrap();
    let rights = wire.topic_rights(&names(&["orders"])).await.unwrap();
    let rights = rights[0].1.as_ref().unwrap();
    assert_eq!((rights.read, rights.write, rights.alter_configs), (Some(true), Some(false), Some(false)));
    cluster.deny_topic("orders", &[Right::Describe]);
    let seen = wire.metadata(Some(&names(&["orders"]))).await.unwrap();
    assert!(seen.topics[0].error.as_ref().unwrap().is_unauthorized());
    assert!(wire.metadata(None).await.unwrap().topics.is_empty());
    cluster.deny_cluster(Right::Create);
    assert_eq!(wire.cluster_rights().await.unwrap().create, Some(false));
    cluster.deny_group("billing");
    let found = wire.committed_offsets(&["billing".to_owned()], true).await;
    assert!(found["billing"].as_ref().unwrap_err().is_group_unauthorized());
    cluster.allow_all();
    assert_eq!(write(&wire, "orders", "a").await.unwrap(), 0);
}

#[tokio::test]
async fn groups_have_members_and_unstable_offsets_if_a_test_says_so() {
    let cluster = FakeCluster::builder().brokers(3).start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    cluster.commit("billing", "orders", 0, 5);
    cluster.set_group_members("billing", 2);
    let ours =
        || GroupCommit { group: "billing".to_owned(), offsets: vec![(place("orders"), 7, String::new())] };
    let outcomes = wire.commit_offsets(vec![ours()]).await;
    assert!(outcomes[0].1.as_ref().unwrap_err().is_unknown_member());
    let listed = wire.list_groups().await.unwrap();
    assert_eq!(listed.groups[0].state, GroupState::Active("Stable".to_owned()));
    cluster.set_group_members("billing", 0);
    wire.commit_offsets(vec![ours()]).await.remove(0).1.unwrap();
    assert_eq!(cluster.committed("billing", "orders", 0), Some(7));
    cluster.set_unstable("billing", "orders", 0, true);
    let mut found = wire.committed_offsets(&["billing".to_owned()], true).await;
    let offsets = found.remove("billing").unwrap().unwrap();
    assert!(offsets[0].committed.as_ref().unwrap_err().is_unstable_offset());
    // A topic takes its offsets along.
    cluster.delete_topic("orders");
    assert_eq!(cluster.committed("billing", "orders", 0), None);
}

#[tokio::test]
async fn a_throttled_fetch_gets_nothing_until_the_quota_allows() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    write(&wire, "orders", "a").await.unwrap();
    cluster.throttle(ApiKey::Fetch, Duration::from_millis(20));
    let allow = async {
        cluster.await_count(ApiKey::Fetch, 3).await;
        cluster.heal();
    };
    let (fetched, ()) = tokio::join!(read(&wire, "orders", 0), allow);
    assert_eq!(values(&fetched.unwrap()), ["a"]);
    assert!(wire.throttled()["Fetch"] >= Duration::from_millis(40));
}

#[tokio::test]
async fn a_producer_that_is_forgotten_begins_anywhere() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    let mut batch = BatchBuilder::new(Codec::None).producer(7, 0, 0);
    batch.push(1_000, None, Some(b"a"), &[]);
    cluster.append("orders", 0, batch);
    let known = async || {
        let known = wire.describe_producers(&[place("orders")]).await.unwrap();
        known[0].1.as_ref().unwrap().len()
    };
    assert_eq!(known().await, 1);
    cluster.forget_producer("orders", 0, 7);
    assert_eq!(known().await, 0);
}

#[tokio::test]
async fn topics_grow_and_change_while_they_are_used() {
    let cluster = FakeCluster::start().await;
    let wire = client(&cluster);
    cluster.create_topic("orders", 1, &[]);
    cluster.grow_topic("orders", 3);
    assert_eq!(wire.metadata(None).await.unwrap().topics[0].partitions.len(), 3);
    cluster.configure_topic("orders", "max.message.bytes", Some("80"));
    assert!(
        write(&wire, "orders", &"x".repeat(100)).await.unwrap_err().code()
            == Some(ResponseError::MessageTooLarge)
    );
    cluster.configure_topic("orders", "max.message.bytes", None);
    assert!(cluster.topic_configs("orders").is_empty());
    write(&wire, "orders", &"x".repeat(100)).await.unwrap();
    let id = cluster.topic_id("orders");
    cluster.delete_topic("orders");
    cluster.create_topic("orders", 1, &[]);
    assert_ne!(cluster.topic_id("orders"), id);
    let second = TopicPartition::new("orders", 1);
    assert!(wire.describe_producers(&[second]).await.unwrap()[0].1.is_err());
}
