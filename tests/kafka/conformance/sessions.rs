//! Incremental fetch sessions (KIP-227).

use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::Subject;
use super::fetch::asked;
use super::raw::{Raw, text};

const UNKNOWN_TOPIC: i16 = 3;
const NO_SUCH_SESSION: i16 = 70;
const WRONG_EPOCH: i16 = 71;

/// A request for partitions of a topic, within a session.
fn part(session: (i32, i32), topic: &str, offsets: &[(i32, i64)]) -> FetchRequest {
    let mut request = asked(topic, 0, 0).with_session_id(session.0).with_session_epoch(session.1);
    let partition = request.topics[0].partitions[0].clone();
    let partitions = offsets
        .iter()
        .map(|(index, offset)| partition.clone().with_partition(*index).with_fetch_offset(*offset));
    request.topics[0].partitions = partitions.collect();
    if offsets.is_empty() {
        request.topics.clear();
    }
    request
}

/// Partition, code and bytes of all that is told.
fn told(answer: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let shown = partitions.map(|data| {
        let bytes = data.records.as_ref().map_or(0, bytes::Bytes::len);
        (data.partition_index, data.error_code, bytes)
    });
    shown.collect()
}

/// Opens a session for partitions of a topic, from their starts.
async fn open(raw: &mut Raw, topic: &str, partitions: i32) -> i32 {
    let offsets: Vec<_> = (0..partitions).map(|index| (index, 0)).collect();
    let answer = raw.ask(12, &part((0, 0), topic, &offsets)).await;
    assert_eq!(answer.error_code, 0);
    assert_eq!(answer.responses.iter().map(|topic| topic.partitions.len()).sum::<usize>(), offsets.len());
    assert_ne!(answer.session_id, 0);
    answer.session_id
}

pub(super) async fn only_what_changed_is_told(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(3, &[]).await);
    let id = open(&mut raw, &topic, 2).await;
    let answer = raw.ask(12, &part((id, 1), &topic, &[])).await;
    assert_eq!((answer.session_id, told(&answer)), (id, vec![]));
    subject.write(&topic, 1, &["a"]).await;
    let answer = raw.ask(12, &part((id, 2), &topic, &[])).await;
    let bytes = told(&answer)[0].2;
    assert_eq!(told(&answer), [(1, 0, bytes)]);
    assert!(bytes > 0);
    // It comes again until the session is told to go on.
    assert_eq!(told(&raw.ask(12, &part((id, 3), &topic, &[])).await), [(1, 0, bytes)]);
    assert_eq!(told(&raw.ask(12, &part((id, 4), &topic, &[(1, 1)])).await), []);
    // A newcomer is told once.
    assert_eq!(told(&raw.ask(12, &part((id, 5), &topic, &[(2, 0)])).await), [(2, 0, 0)]);
    assert_eq!(told(&raw.ask(12, &part((id, 6), &topic, &[])).await), []);
    // Those that were served come last the next time.
    for partition in [0, 1, 2] {
        subject.write(&topic, partition, &["b"]).await;
    }
    let order: Vec<_> =
        told(&raw.ask(12, &part((id, 7), &topic, &[])).await).iter().map(|part| part.0).collect();
    assert_eq!(order, [0, 1, 2]);
    subject.write(&topic, 0, &["c"]).await;
    let answer = raw.ask(12, &part((id, 8), &topic, &[(0, 1), (1, 2), (2, 1)])).await;
    assert_eq!(told(&answer), [(0, 0, bytes)]);
    for partition in [0, 1, 2] {
        subject.write(&topic, partition, &["d"]).await;
    }
    let answer = raw.ask(12, &part((id, 9), &topic, &[(0, 2)])).await;
    assert_eq!(told(&answer).iter().map(|part| part.0).collect::<Vec<_>>(), [1, 2, 0]);
}

pub(super) async fn what_is_forgotten_is_not_told(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    let id = open(&mut raw, &topic, 2).await;
    let forget = |partition| {
        ForgottenTopic::default().with_topic(text(&topic).into()).with_partitions(vec![partition])
    };
    for partition in [0, 1] {
        subject.write(&topic, partition, &["a"]).await;
    }
    let asked = part((id, 1), &topic, &[]).with_forgotten_topics_data(vec![forget(0)]);
    let answer = raw.ask(12, &asked).await;
    assert_eq!(told(&answer).iter().map(|part| part.0).collect::<Vec<_>>(), [1]);
    // A session without partitions is over.
    let asked = part((id, 2), &topic, &[]).with_forgotten_topics_data(vec![forget(1)]);
    let answer = raw.ask(12, &asked).await;
    assert_eq!((answer.error_code, answer.session_id, told(&answer)), (0, 0, vec![]));
    assert_eq!(raw.ask(12, &part((id, 3), &topic, &[])).await.error_code, NO_SUCH_SESSION);
}

pub(super) async fn a_wrong_session_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = open(&mut raw, &topic, 1).await;
    for (session, code) in [((id, 2), WRONG_EPOCH), ((id ^ 0x4000_0000, 1), NO_SUCH_SESSION)] {
        let answer = raw.ask(12, &part(session, &topic, &[])).await;
        assert_eq!((answer.error_code, answer.session_id, told(&answer)), (code, 0, vec![]));
    }
    // It goes on all the same.
    assert_eq!(raw.ask(12, &part((id, 1), &topic, &[])).await.error_code, 0);
    // Names and ids are not mixed.
    assert_ne!(raw.ask(13, &part((id, 2), "", &[])).await.error_code, 0);
}

pub(super) async fn a_session_is_closed_by_the_last_request(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    // One that asks for no session, and one that asks for another.
    for epoch in [-1, 0] {
        let id = open(&mut raw, &topic, 1).await;
        let answer = raw.ask(12, &part((id, epoch), &topic, &[(0, 0)])).await;
        assert_eq!((answer.error_code, told(&answer)), (0, vec![(0, 0, 0)]));
        assert_eq!(answer.session_id == 0, epoch == -1);
        assert_ne!(answer.session_id, id);
        assert_eq!(raw.ask(12, &part((id, 1), &topic, &[])).await.error_code, NO_SUCH_SESSION);
    }
}

pub(super) async fn errors_are_told_each_time(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let id = open(&mut raw, &topic, 2).await;
    for epoch in [1, 2] {
        let answer = raw.ask(12, &part((id, epoch), &topic, &[])).await;
        assert_eq!(told(&answer), [(1, UNKNOWN_TOPIC, 0)]);
    }
    subject.wire.create_partitions(&topic.as_str().into(), 2).await.unwrap();
    subject.led(&topic, 2).await;
    assert_eq!(told(&raw.ask(12, &part((id, 3), &topic, &[])).await), [(1, 0, 0)]);
    assert_eq!(told(&raw.ask(12, &part((id, 4), &topic, &[])).await), []);
}
