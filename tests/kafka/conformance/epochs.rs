//! Leader epochs: where they end, and readers of another log.

use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::Subject;
use super::fetch::asked;
use super::raw::{Raw, text};

const OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const UNKNOWN_EPOCH: i16 = 75;

/// Code, epoch and end.
async fn end(raw: &mut Raw, place: (&str, i32), epoch: i32, current: i32) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(place.1)
        .with_leader_epoch(epoch)
        .with_current_leader_epoch(current);
    let topic =
        OffsetForLeaderTopic::default().with_topic(text(place.0).into()).with_partitions(vec![partition]);
    let asked = OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
    let answer = raw.ask(4, &asked).await;
    let found = &answer.topics[0].partitions[0];
    (found.error_code, found.leader_epoch, found.end_offset)
}

pub(super) async fn epochs_end_where_the_next_begins(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    assert_eq!(end(&mut raw, (&topic, 0), 0, -1).await, (0, 0, 0));
    subject.write(&topic, 0, &["a", "b"]).await;
    assert_eq!(end(&mut raw, (&topic, 0), 0, 0).await, (0, 0, 2));
    for unknown in [1, -1] {
        assert_eq!(end(&mut raw, (&topic, 0), unknown, -1).await, (0, -1, -1));
    }
    let missing = subject.name("missing");
    for place in [(missing.as_str(), 0), (topic.as_str(), 1)] {
        assert_eq!(end(&mut raw, place, 0, -1).await, (UNKNOWN_TOPIC, -1, -1));
    }
}

pub(super) async fn a_later_epoch_is_not_known_yet(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    assert_eq!(end(&mut raw, (&topic, 0), 0, 1).await, (UNKNOWN_EPOCH, -1, -1));
    let mut request = asked(&topic, 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = 1;
    let answer = raw.ask(12, &request).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, UNKNOWN_EPOCH);
}

pub(super) async fn a_reader_of_another_log_is_told(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    subject.write(&topic, 0, &["a", "b"]).await;
    let mut read = async |offset, last_epoch| {
        let mut request = asked(&topic, 0, offset);
        request.topics[0].partitions[0].last_fetched_epoch = last_epoch;
        let mut answer = raw.ask(12, &request).await;
        answer.responses.remove(0).partitions.remove(0)
    };
    let fine = read(1, 0).await;
    assert_eq!((fine.error_code, fine.diverging_epoch.epoch), (0, -1));
    assert!(!fine.records.unwrap_or_default().is_empty());
    // Beyond the end of the epoch.
    let beyond = read(9, 0).await;
    let told = (beyond.diverging_epoch.epoch, beyond.diverging_epoch.end_offset);
    assert_eq!((beyond.error_code, told), (0, (0, 2)));
    assert!(beyond.records.unwrap_or_default().is_empty());
    assert_eq!(read(1, 5).await.error_code, OUT_OF_RANGE);
}
