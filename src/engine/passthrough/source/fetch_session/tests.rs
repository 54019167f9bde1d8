use std::collections::BTreeMap;

use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::*;

fn topic(number: u8) -> TopicName {
    TopicName(StrBytes::from_string(format!("topic-{number}")))
}

fn want(offset: i64) -> Want {
    Want { offset, max_bytes: 1 << 20, leader_epoch: 3, last_epoch: 2 }
}

/// The sessions of a broker, by KIP-227.
#[derive(Default)]
struct Broker {
    sessions: BTreeMap<i32, (i32, BTreeMap<Key, Want>)>,
    next_id: i32,
    /// Whether it opens sessions at all.
    opens: bool,
}

fn wants(topics: &[FetchTopic]) -> Vec<(Key, Want)> {
    let each = |topic: &FetchTopic| {
        let name = topic.topic.clone();
        let partitions = topic.partitions.iter().map(move |asked| {
            let want = Want {
                offset: asked.fetch_offset,
                max_bytes: asked.partition_max_bytes,
                leader_epoch: asked.current_leader_epoch,
                last_epoch: asked.last_fetched_epoch,
            };
            ((name.clone(), asked.partition), want)
        });
        partitions.collect::<Vec<_>>()
    };
    topics.iter().flat_map(each).collect()
}

impl Broker {
    /// Answers with error and session id, and says what it would read.
    fn answer(&mut self, asked: &Asked) -> (i16, i32, BTreeMap<Key, Want>) {
        let named = wants(&asked.topics);
        if asked.session_epoch <= OPEN {
            assert!(asked.forgotten.is_empty(), "a full request forgets nothing");
            self.sessions.remove(&asked.session_id);
            let all: BTreeMap<_, _> = named.into_iter().collect();
            if !self.opens || asked.session_epoch == WITHOUT {
                return (0, NO_SESSION, all);
            }
            self.next_id += 1;
            self.sessions.insert(self.next_id, (1, all.clone()));
            return (0, self.next_id, all);
        }
        let Some((epoch, known)) = self.sessions.get_mut(&asked.session_id) else {
            return (ResponseError::FetchSessionIdNotFound.code(), NO_SESSION, BTreeMap::new());
        };
        if *epoch != asked.session_epoch {
            return (ResponseError::InvalidFetchSessionEpoch.code(), NO_SESSION, BTreeMap::new());
        }
        *epoch = if *epoch == i32::MAX { 1 } else { *epoch + 1 };
        known.extend(named);
        for topic in &asked.forgotten {
            for partition in &topic.partitions {
                assert!(
                    known.remove(&(topic.topic.clone(), *partition)).is_some(),
                    "only what the broker knows is forgotten"
                );
            }
        }
        (0, asked.session_id, known.clone())
    }
}

#[derive(Clone, Debug)]
enum SessionStep {
    Want(u8, i32, i64),
    Forget(u8, i32),
    /// A request that is answered; says in which version.
    Fetch(i16),
    /// A request that the broker takes over, or doesn't, and whose answer is lost.
    Lost(bool),
    /// The broker gives up its sessions.
    Evict,
    /// The broker opens sessions from now on, or not.
    Opens(bool),
    /// The session's epoch on both sides is about to wrap.
    Age,
}

fn step() -> impl Strategy<Value = SessionStep> {
    prop_oneof![
        6 => (0..3u8, 0..3, 0..5i64).prop_map(|(topic, partition, offset)| SessionStep::Want(topic, partition, offset)),
        3 => (0..3u8, 0..3).prop_map(|(topic, partition)| SessionStep::Forget(topic, partition)),
        6 => prop_oneof![9 => Just(12i16), 1 => Just(6)].prop_map(SessionStep::Fetch),
        1 => any::<bool>().prop_map(SessionStep::Lost),
        1 => Just(SessionStep::Evict),
        1 => prop_oneof![3 => Just(true), 1 => Just(false)].prop_map(SessionStep::Opens),
        1 => Just(SessionStep::Age),
    ]
}

fn known(asked: BTreeMap<Key, Want>, version: i16) -> BTreeMap<Key, Want> {
    let old = |want: Want| Want { leader_epoch: -1, last_epoch: -1, ..want };
    asked.into_iter().map(|(key, want)| (key, if version < 7 { old(want) } else { want })).collect()
}

proptest! {
    #[test]
    fn the_broker_reads_what_is_wanted(steps in prop::collection::vec(step(), 1..60)) {
        let mut broker = Broker { opens: true, ..Broker::default() };
        let mut session = FetchSession::default();
        let mut wanted: BTreeMap<Key, Want> = BTreeMap::new();
        for step in steps {
            match step {
                SessionStep::Want(name, partition, offset) => {
                    session.want(&topic(name), partition, want(offset));
                    wanted.insert((topic(name), partition), want(offset));
                }
                SessionStep::Forget(name, partition) => {
                    session.forget(&topic(name), partition);
                    wanted.remove(&(topic(name), partition));
                }
                SessionStep::Fetch(version) => {
                    let full = session.epoch <= OPEN;
                    let asked = session.next(version);
                    let (error, id, read) = broker.answer(&asked);
                    match session.answered(error, id) {
                        Ok(()) => prop_assert_eq!(read, known(wanted.clone(), version)),
                        Err(_) => {
                            prop_assert!(!full, "a full request is never refused");
                            let (error, id, read) = broker.answer(&session.next(12));
                            prop_assert!(session.answered(error, id).is_ok(), "it is mended at once");
                            prop_assert_eq!(&read, &wanted);
                        }
                    }
                }
                SessionStep::Lost(taken_over) => {
                    let asked = session.next(12);
                    if taken_over {
                        broker.answer(&asked);
                    }
                    session.lost();
                }
                SessionStep::Evict => broker.sessions.clear(),
                SessionStep::Opens(opens) => broker.opens = opens,
                SessionStep::Age => {
                    if session.epoch > OPEN && let Some((epoch, _)) = broker.sessions.get_mut(&session.id) {
                        (*epoch, session.epoch) = (i32::MAX, i32::MAX);
                    }
                }
            }
            prop_assert_eq!(session.is_empty(), wanted.is_empty());
            prop_assert!(session.changed.len() <= session.entries.len());
        }
    }
}

/// A session that was opened with these partitions of one topic.
fn opened(partitions: i32) -> FetchSession {
    let mut session = FetchSession::default();
    for partition in 0..partitions {
        session.want(&topic(0), partition, want(0));
    }
    let asked = session.next(12);
    assert_eq!((asked.session_id, asked.session_epoch), (NO_SESSION, OPEN));
    session.answered(0, 77).unwrap();
    session
}

#[test]
fn only_what_changed_is_named() {
    let mut session = opened(10_000);
    let asked = session.next(12);
    assert_eq!((asked.session_id, asked.session_epoch), (77, 1));
    assert!(asked.topics.is_empty() && asked.forgotten.is_empty());
    session.answered(0, 77).unwrap();

    session.want(&topic(0), 5, want(9));
    session.forget(&topic(0), 6);
    session.want(&topic(0), 7, want(0));
    let asked = session.next(12);
    assert_eq!(asked.session_epoch, 2);
    assert_eq!(wants(&asked.topics), [((topic(0), 5), want(9))]);
    assert_eq!(asked.forgotten.len(), 1);
    assert_eq!(asked.forgotten[0].partitions, [6]);
}

#[test]
fn a_session_that_is_not_there_is_opened_anew() {
    let mut session = opened(2);
    session.next(12);
    let error = session.answered(ResponseError::FetchSessionIdNotFound.code(), 0).unwrap_err();
    assert_eq!(error, ResponseError::FetchSessionIdNotFound);
    let asked = session.next(12);
    assert_eq!((asked.session_id, asked.session_epoch), (NO_SESSION, OPEN));
    assert_eq!(wants(&asked.topics).len(), 2);
}

#[test]
fn after_a_wrong_epoch_and_a_lost_answer_the_session_is_replaced() {
    let mut session = opened(1);
    session.next(12);
    session.answered(ResponseError::InvalidFetchSessionEpoch.code(), 0).unwrap_err();
    let asked = session.next(12);
    assert_eq!((asked.session_id, asked.session_epoch, asked.topics.len()), (77, OPEN, 1));
    session.lost();
    let asked = session.next(12);
    assert_eq!((asked.session_id, asked.session_epoch, asked.topics.len()), (77, OPEN, 1));
}

#[test]
fn without_a_session_whoever_was_served_last_comes_last() {
    let mut session = FetchSession::default();
    for partition in 0..3 {
        session.want(&topic(0), partition, want(0));
    }
    session.next(12);
    session.answered(0, NO_SESSION).unwrap();
    session.want(&topic(0), 0, want(10));
    let order: Vec<_> = wants(&session.next(12).topics).into_iter().map(|((_, index), _)| index).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn old_versions_get_no_field_they_do_not_have() {
    let mut session = opened(1);
    session.want(&topic(0), 0, want(4));
    let asked = session.next(6);
    assert_eq!((asked.session_id, asked.session_epoch), (NO_SESSION, WITHOUT));
    assert_eq!(wants(&asked.topics)[0].1, Want { leader_epoch: -1, last_epoch: -1, ..want(4) });
}
