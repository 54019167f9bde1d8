//! Offsets and epochs, and a client that outlives its broker.

use mirrormesh::model::{EpochEnd, Isolation, TopicPartition};
use mirrormesh::wire::{EpochQuery, OffsetSpec, ResponseError, Wire};

use super::{new_topic, settings, wire};
use crate::common::{Cluster, Ending, Produce, TestRecord, pair, topic, wait_for};

async fn offset(wire: &Wire, partition: &TopicPartition, spec: OffsetSpec, isolation: Isolation) -> i64 {
    let listed = wire.list_offsets(&[(partition.clone(), spec)], isolation).await.unwrap();
    listed[0].1.as_ref().unwrap().offset
}

#[tokio::test]
async fn offsets_are_found_in_every_way() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let name = topic("offsets");
    wire.create_topic(&new_topic(&name, 2, &[]), false).await.unwrap();
    let records = (0..10).map(|n| TestRecord::new("k", "v").at(1_700_000_000_000 + n * 1_000)).collect();
    east.client().produce(&name, 1, records).await;
    east.client().delete_records(&name, 1, 3).await;

    let partition = TopicPartition::new(name.as_str(), 1);
    let missing = TopicPartition::new(name.as_str(), 2);
    let queries = [
        (partition.clone(), OffsetSpec::Earliest),
        (partition.clone(), OffsetSpec::Latest),
        (partition.clone(), OffsetSpec::LogEnd),
        (partition.clone(), OffsetSpec::Timestamp(1_700_000_004_500)),
        (partition.clone(), OffsetSpec::Timestamp(1_800_000_000_000)),
        (TopicPartition::new(name.as_str(), 0), OffsetSpec::Latest),
        (missing.clone(), OffsetSpec::Latest),
    ];
    let listed = wire.list_offsets(&queries, Isolation::ReadCommitted).await.unwrap();
    let places: Vec<_> = listed.iter().map(|(partition, _)| partition.clone()).collect();
    assert_eq!(places, queries.each_ref().map(|(partition, _)| partition.clone()));
    let offsets: Vec<i64> = listed[..6].iter().map(|(_, listed)| listed.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [3, 10, 10, 5, -1, 0]);
    assert_eq!(listed[3].1.as_ref().unwrap().timestamp_ms, 1_700_000_005_000);
    assert_eq!(listed[3].1.as_ref().unwrap().leader_epoch, 0);
    let error = listed[6].1.as_ref().unwrap_err();
    assert!(error.is_unknown_topic() && error.to_string().contains(&missing.to_string()), "{error}");
}

#[tokio::test]
async fn markers_count_in_offsets() {
    let west = &pair().await.west;
    let wire = wire(west.bootstrap());
    let name = topic("stable");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let options = Produce::new().transaction(&name, Ending::Abort);
    west.client().produce_with(&name, 0, TestRecord::numbered(4), options).await;
    let partition = TopicPartition::new(name.as_str(), 0);
    for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
        assert_eq!(offset(&wire, &partition, OffsetSpec::Latest, isolation).await, 5, "{isolation:?}");
    }
}

#[tokio::test]
async fn epochs_end_where_leaders_changed_and_a_client_outlives_its_broker() {
    let cluster = Cluster::builder("epochs").start().await;
    let mut settings = settings(cluster.bootstrap());
    settings.connect_timeout = std::time::Duration::from_secs(2);
    let wire = Wire::new("east".into(), &settings).unwrap();
    wire.create_topic(&new_topic("orders", 1, &[]), false).await.unwrap();
    cluster.client().produce("orders", 0, TestRecord::numbered(7)).await;
    let partition = TopicPartition::new("orders", 0);
    let first = wire.metadata(Some(&["orders".into()])).await.unwrap().topics[0].partitions[0].leader_epoch;

    cluster.kill();
    let error = wire.list_offsets(&[(partition.clone(), OffsetSpec::Latest)], Isolation::ReadCommitted).await;
    let unreachable = match error {
        Err(error) => error,
        Ok(listed) => listed.into_iter().next().unwrap().1.unwrap_err(),
    };
    assert!(unreachable.is_unreachable() && unreachable.is_retriable(), "{unreachable}");
    cluster.start().await;

    let second = wait_for("a new epoch", async || {
        let metadata = wire.metadata(Some(&["orders".into()])).await.map_err(|error| error.to_string())?;
        let epoch = metadata.topics[0].partitions.first().map_or(-1, |partition| partition.leader_epoch);
        if epoch > first { Ok(epoch) } else { Err(format!("epoch {epoch}")) }
    })
    .await;
    cluster.client().produce("orders", 0, TestRecord::numbered(3)).await;
    assert_eq!(offset(&wire, &partition, OffsetSpec::LogEnd, Isolation::ReadCommitted).await, 10);
    let query = |epoch, current_epoch| EpochQuery { partition: partition.clone(), epoch, current_epoch };
    let ends = wire.epoch_ends_once(&[query(first, second)]).await.unwrap();
    assert_eq!(ends[0].1.as_ref().unwrap(), &EpochEnd { epoch: first, end_offset: 7 });
    let ends = wire.epoch_ends_once(&[query(second, -1)]).await.unwrap();
    assert_eq!(ends[0].1.as_ref().unwrap(), &EpochEnd { epoch: second, end_offset: 10 });

    let mut impatient = settings.clone();
    // As long as it is told to look elsewhere it does, up to this.
    impatient.request_timeout = std::time::Duration::from_secs(5);
    let impatient = Wire::new("east".into(), &impatient).unwrap();
    let ends = impatient.epoch_ends_once(&[query(first, first)]).await.unwrap();
    assert_eq!(ends[0].1.as_ref().unwrap_err().code(), Some(ResponseError::FencedLeaderEpoch));
}
