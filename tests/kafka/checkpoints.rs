//! MirrorMaker 2's checkpoints on a real cluster: what is written, what is left out, and how a start goes on.

use mirrormesh::formats::Checkpoint;
use mirrormesh::model::groups::{Committed, GroupState};
use mirrormesh::model::{TopicName, TopicPartition};
use mirrormesh::offsets::Translation::{self, EarliestSafe, Exact, Unknown};
use mirrormesh::offsets::groups::{GroupReading, OffsetReading};
use mirrormesh::store::{Checkpoints, stored_checkpoints};

use crate::common::{KafkaClient, TestRecord, pair, random_text};
use crate::wire::wire;

fn reading(group: &str, partitions: &[(i32, i64, Translation)]) -> GroupReading {
    let offset = |&(partition, offset, translation): &(i32, i64, Translation)| OffsetReading {
        source: TopicPartition::new("orders", partition),
        target: TopicPartition::new("A.orders", partition),
        committed: Committed { offset, leader_epoch: 3, metadata: format!("m{offset}") },
        translation,
    };
    GroupReading {
        group: group.to_owned(),
        state: GroupState::Empty,
        offsets: partitions.iter().map(offset).collect(),
        failed: None,
    }
}

/// Everything that was ever written: group, partition, source offset, target offset.
async fn written(client: &KafkaClient, topic: &TopicName) -> Vec<(String, i32, i64, i64)> {
    let records = client.consume_all(topic.as_str()).await.remove(0);
    let checkpoints = records.into_iter().filter_map(|consumed| {
        Checkpoint::decode(consumed.record.key.as_deref(), consumed.record.value.as_deref()).ok()
    });
    checkpoints
        .map(|checkpoint| {
            assert_eq!(checkpoint.topic, "A.orders");
            assert_eq!(checkpoint.metadata, format!("m{}", checkpoint.upstream_offset));
            (checkpoint.group, checkpoint.partition, checkpoint.upstream_offset, checkpoint.downstream_offset)
        })
        .collect()
}

fn said(group: &str, partition: i32, upstream: i64, downstream: i64) -> (String, i32, i64, i64) {
    (group.to_owned(), partition, upstream, downstream)
}

/// A topic of its own, as a source alias of its own has it.
fn topic() -> TopicName {
    TopicName::from(format!("{}.checkpoints.internal", random_text(8)))
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_go_on_where_they_stood() {
    let client = pair().await.west.client();
    let wire = wire(client.bootstrap());
    let topic = topic();
    assert_eq!(stored_checkpoints(&wire, &topic).await.unwrap(), Default::default());

    let mut first = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    assert_eq!(client.offsets(topic.as_str()).await, [(0, 0)], "it is created, with one partition");
    let read =
        [reading("g", &[(0, 300, Exact(250)), (1, 7, Unknown)]), reading("h", &[(0, 5, EarliestSafe(4))])];
    assert_eq!(first.emit(&read).await.unwrap(), 2);
    assert_eq!(first.emit(&read).await.unwrap(), 0, "nothing has changed");
    let mut expected = vec![said("g", 0, 300, 250), said("h", 0, 5, 4)];
    assert_eq!(written(client, &topic).await, expected);

    // Another start: what it can't know yet does not send anybody back.
    let mut second = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    assert_eq!(second.emit(&[reading("g", &[(0, 310, EarliestSafe(201))])]).await.unwrap(), 0);
    assert_eq!(second.emit(&read).await.unwrap(), 0);
    let read = [reading("g", &[(0, 310, Exact(260)), (1, 7, Exact(7))]), reading("h", &[(0, 3, Exact(2))])];
    assert_eq!(second.emit(&read).await.unwrap(), 3, "progress, a first one, and a group that went back");
    expected.extend([said("g", 0, 310, 260), said("g", 1, 7, 7), said("h", 0, 3, 2)]);
    assert_eq!(written(client, &topic).await, expected);

    let stored = stored_checkpoints(&wire, &topic).await.unwrap();
    assert_eq!(stored.unreadable, 0);
    let last = &stored.checkpoints["g"][&TopicPartition::new("A.orders", 0)];
    assert_eq!((last.upstream_offset, last.downstream_offset, last.metadata.as_str()), (310, 260, "m310"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_passed_over() {
    let client = pair().await.west.client();
    let wire = wire(client.bootstrap());
    let topic = topic();
    let mut checkpoints = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    checkpoints.emit(&[reading("g", &[(0, 10, Exact(10))])]).await.unwrap();
    let stranger =
        [TestRecord::new("not", "a checkpoint"), TestRecord { value: None, ..TestRecord::new("g", "") }];
    client.produce(topic.as_str(), 0, stranger.to_vec()).await;
    checkpoints.emit(&[reading("g", &[(0, 20, Exact(20))])]).await.unwrap();

    let stored = stored_checkpoints(&wire, &topic).await.unwrap();
    assert_eq!(stored.unreadable, 2);
    let mut again = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    assert_eq!(again.unreadable(), 2);
    assert_eq!(again.emit(&[reading("g", &[(0, 20, EarliestSafe(15))])]).await.unwrap(), 0);
    assert_eq!(again.emit(&[reading("g", &[(0, 21, Exact(21))])]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_is_written_anew() {
    let client = pair().await.west.client();
    let wire = wire(client.bootstrap());
    let topic = topic();
    let mut checkpoints = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    let mut read = vec![reading("g", &[(0, 10, Exact(10)), (1, 4, Exact(4))])];
    assert_eq!(checkpoints.emit(&read).await.unwrap(), 2);
    client.delete_topic(topic.as_str()).await;
    read[0].offsets[0].committed.offset = 11;
    read[0].offsets[0].translation = Exact(11);
    let error = checkpoints.emit(&read).await.unwrap_err();
    assert!(error.is_unknown_topic(), "{error}");
    assert_eq!(checkpoints.emit(&read).await.unwrap(), 2);
    let expected = read.iter().flat_map(|group| &group.offsets).map(|offset| {
        (
            group_name(&read),
            offset.target.partition,
            offset.committed.offset,
            offset.translation.offset().unwrap(),
        )
    });
    let found = stored_checkpoints(&wire, &topic).await.unwrap().checkpoints.remove("g").unwrap();
    let mut found: Vec<_> = found
        .into_values()
        .map(|last| (last.group, last.partition, last.upstream_offset, last.downstream_offset))
        .collect();
    found.sort();
    assert_eq!(found, expected.collect::<Vec<_>>());
}

fn group_name(read: &[GroupReading]) -> String {
    read[0].group.clone()
}

/// Thousands of groups are few requests: each batch is one, and holds hundreds of kilobytes.
#[tokio::test(flavor = "multi_thread")]
async fn many_checkpoints_share_requests() {
    let client = pair().await.west.client();
    let wire = wire(client.bootstrap());
    let topic = topic();
    let mut checkpoints = Checkpoints::load(&wire, topic.clone()).await.unwrap();
    let partitions: Vec<_> = (0..10).map(|partition| (partition, 100, Exact(100))).collect();
    let groups: Vec<_> =
        (0..5_000).map(|number| reading(&format!("group-{number:05}"), &partitions)).collect();
    assert_eq!(checkpoints.emit(&groups).await.unwrap(), 50_000);
    let end = client.end_offsets(topic.as_str()).await;
    assert_eq!(end, [50_000]);
    let batches = crate::common::stored_batches(pair().await.west.broker(), topic.as_str(), 0);
    assert!(batches.len() < 20, "{} batches", batches.len());
    assert_eq!(checkpoints.emit(&groups).await.unwrap(), 0);
    let again = stored_checkpoints(&wire, &topic).await.unwrap();
    assert_eq!(again.checkpoints.values().map(|of_group| of_group.len()).sum::<usize>(), 50_000);
}
