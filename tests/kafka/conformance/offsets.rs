//! ListOffsets.

use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use mirrormesh::batch::BatchBuilder;
use mirrormesh::model::Codec;

use super::Subject;
use super::produce::write;
use super::raw::{Raw, text};

const UNKNOWN_TOPIC: i16 = 3;
const UNKNOWN_EPOCH: i16 = 75;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// Code, offset, timestamp and epoch.
type Listed = (i16, i64, i64, i32);

async fn list(raw: &mut Raw, version: i16, place: (&str, i32), timestamp: i64, epoch: i32) -> Listed {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(place.1)
        .with_timestamp(timestamp)
        .with_current_leader_epoch(epoch);
    let topic = ListOffsetsTopic::default().with_name(text(place.0).into()).with_partitions(vec![partition]);
    let asked = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = raw.ask(version, &asked).await;
    let found = &answer.topics[0].partitions[0];
    (found.error_code, found.offset, found.timestamp, found.leader_epoch)
}

pub(super) async fn a_log_tells_its_ends(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    for timestamp in [EARLIEST, LATEST] {
        assert_eq!(list(&mut raw, 9, (&topic, 0), timestamp, -1).await, (0, 0, -1, 0));
    }
    subject.write(&topic, 0, &["a", "b", "c"]).await;
    for version in 1..=10 {
        let epoch = if version < 4 { -1 } else { 0 };
        assert_eq!(list(&mut raw, version, (&topic, 0), EARLIEST, -1).await, (0, 0, -1, epoch));
        assert_eq!(list(&mut raw, version, (&topic, 0), LATEST, -1).await, (0, 3, -1, epoch));
    }
}

pub(super) async fn records_are_found_by_their_time(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    assert_eq!(list(&mut raw, 9, (&topic, 0), 1, -1).await, (0, -1, -1, -1));
    for times in [[1_000, 3_000], [2_000, 5_000], [4_000, 5_000]] {
        let mut batch = BatchBuilder::new(Codec::None);
        times.into_iter().for_each(|time| batch.push(time, None, Some(b"v"), &[]));
        assert_eq!(write(&mut raw, &topic, batch.build().unwrap()).await.error_code, 0);
    }
    let cases = [(0, 0, 1_000), (1_000, 0, 1_000), (1_001, 1, 3_000), (3_001, 3, 5_000), (5_000, 3, 5_000)];
    for (timestamp, offset, found) in cases {
        assert_eq!(list(&mut raw, 9, (&topic, 0), timestamp, -1).await, (0, offset, found, 0));
    }
    assert_eq!(list(&mut raw, 9, (&topic, 0), 5_001, -1).await, (0, -1, -1, -1));
    assert_eq!(list(&mut raw, 9, (&topic, 0), MAX_TIMESTAMP, -1).await, (0, 3, 5_000, 0));
}

pub(super) async fn what_can_not_be_looked_up_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let missing = subject.name("missing");
    for place in [(missing.as_str(), 0), (topic.as_str(), 1)] {
        assert_eq!(list(&mut raw, 9, place, LATEST, -1).await, (UNKNOWN_TOPIC, -1, -1, -1));
    }
    assert_eq!(list(&mut raw, 9, (&topic, 0), LATEST, 0).await.0, 0);
    assert_eq!(list(&mut raw, 9, (&topic, 0), LATEST, 1).await, (UNKNOWN_EPOCH, -1, -1, -1));
}
