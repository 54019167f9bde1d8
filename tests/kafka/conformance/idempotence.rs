//! Idempotent producers: sequences, epochs, repeated batches.

use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;
use mirrormesh::batch::BatchBuilder;
use mirrormesh::model::Codec;
use mirrormesh::model::TopicPartition;

use super::Subject;
use super::produce::write;
use super::raw::{Raw, filled, text};
use crate::common::wait_for;

const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER: i16 = 45;
const INVALID_EPOCH: i16 = 47;

/// A batch of a producer.
fn batch(producer: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    filled(BatchBuilder::new(Codec::None).producer(producer, epoch, sequence), values)
}

async fn new_id(raw: &mut Raw) -> i64 {
    let asked = InitProducerIdRequest::default().with_transaction_timeout_ms(i32::MAX);
    let asked = asked.with_transactional_id(None).with_producer_id((-1).into()).with_producer_epoch(-1);
    // A broker that has just started has no ids yet.
    wait_for("an id", async || {
        let answer = raw.ask(4, &asked).await;
        match (answer.error_code, answer.producer_epoch) {
            (0, 0) => Ok(answer.producer_id.0),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Code and offset of a write.
async fn wrote(raw: &mut Raw, topic: &str, records: Bytes) -> (i16, i64) {
    let answer = write(raw, topic, records).await;
    (answer.error_code, answer.base_offset)
}

pub(super) async fn ids_are_new_each_time(subject: &Subject) {
    let mut raw = subject.raw().await;
    let (first, second) = (new_id(&mut raw).await, new_id(&mut raw).await);
    assert!(first >= 0 && second > first);
    // Even for a client that has one.
    let asked = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(second.into())
        .with_producer_epoch(0);
    let answer = raw.ask(4, &asked).await;
    assert!(answer.error_code == 0 && answer.producer_id.0 > second && answer.producer_epoch == 0);
    let nameless = asked.with_transactional_id(Some(text("").into()));
    assert_eq!(raw.ask(4, &nameless).await.error_code, INVALID_REQUEST);
}

pub(super) async fn sequences_have_no_gap(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = new_id(&mut raw).await;
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 0, &["a", "b"])).await, (0, 0));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 3, &["d"])).await, (OUT_OF_ORDER, -1));
    // Neither a repeated batch nor the next: it overlaps.
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 1, &["b"])).await, (OUT_OF_ORDER, -1));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 2, &["c"])).await, (0, 2));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 3, &["d"])).await, (0, 3));
}

pub(super) async fn the_last_five_batches_are_known(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = new_id(&mut raw).await;
    for n in 0..6 {
        assert_eq!(wrote(&mut raw, &topic, batch(id, 0, n, &["a"])).await, (0, i64::from(n)));
    }
    for n in (1..6).rev() {
        let answer = write(&mut raw, &topic, batch(id, 0, n, &["a"])).await;
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(n)));
        assert_eq!(answer.log_append_time_ms, 1_000, "the time of the batch that is there");
    }
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 0, &["a"])).await, (OUT_OF_ORDER, -1));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 6, &["a"])).await, (0, 6));
}

pub(super) async fn an_older_epoch_is_fenced(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = new_id(&mut raw).await;
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 0, &["a"])).await, (0, 0));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 1, 1, &["b"])).await, (OUT_OF_ORDER, -1));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 1, 0, &["b"])).await, (0, 1));
    for sequence in [0, 1] {
        assert_eq!(wrote(&mut raw, &topic, batch(id, 0, sequence, &["c"])).await, (INVALID_EPOCH, -1));
    }
    assert_eq!(wrote(&mut raw, &topic, batch(id, 1, 0, &["b"])).await, (0, 1));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 1, 1, &["c"])).await, (0, 2));
}

pub(super) async fn a_new_producer_begins_anywhere(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    for (sequence, offset) in [(0, 0), (17, 1)] {
        let id = new_id(&mut raw).await;
        assert_eq!(wrote(&mut raw, &topic, batch(id, 0, sequence, &["a"])).await, (0, offset));
        assert_eq!(wrote(&mut raw, &topic, batch(id, 0, sequence + 5, &["a"])).await, (OUT_OF_ORDER, -1));
    }
}

pub(super) async fn sequences_begin_again_at_their_end(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = new_id(&mut raw).await;
    let last = batch(id, 0, i32::MAX - 1, &["a", "b", "c"]);
    assert_eq!(wrote(&mut raw, &topic, last.clone()).await, (0, 0));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 2, &["e"])).await, (OUT_OF_ORDER, -1));
    assert_eq!(wrote(&mut raw, &topic, batch(id, 0, 1, &["d"])).await, (0, 3));
    assert_eq!(wrote(&mut raw, &topic, last).await, (0, 0));
}

pub(super) async fn producers_are_told(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    let (id, other) = (new_id(&mut raw).await, new_id(&mut raw).await);
    for (id, epoch, sequence) in [(id, 0, 0), (id, 1, 0), (other, 3, 7)] {
        let answer = write(&mut raw, &topic, batch(id, epoch, sequence, &["a", "b"])).await;
        assert_eq!(answer.error_code, 0);
    }
    let places: Vec<_> = (0..3).map(|partition| TopicPartition::new(&*topic, partition)).collect();
    let told = subject.wire.describe_producers(&places).await.unwrap();
    let mut known: Vec<_> = told[0].1.as_ref().unwrap().iter().collect();
    known.sort_by_key(|producer| producer.id);
    let known: Vec<_> = known
        .iter()
        .map(|known| (known.id, known.epoch, known.last_sequence, known.last_timestamp_ms))
        .collect();
    assert_eq!(known, [(id, 1, 1, 1_000), (other, 3, 8, 1_000)]);
    assert!(told[1].1.as_ref().unwrap().is_empty());
    assert!(told[2].1.as_ref().unwrap_err().is_unknown_topic());
}
