use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::engine::budget::Permit;
use crate::engine::{Body, WriteError};
use crate::model::{BatchInfo, Fault, FaultKind, TopicId, TopicPartition, WriteErrorClass};

const OLD: Generation = Generation(1);
const NEW: Generation = Generation(2);

type Told = Receiver<(Generation, LaneEvent)>;

fn spec(generation: Generation) -> (LaneSpec, Told) {
    let (sender, told) = channel();
    let spec = LaneSpec {
        source: TopicPartition::new("orders", 0),
        target: TopicPartition::new("copy", 0),
        source_topic_id: TopicId::default(),
        target_topic_id: TopicId::default(),
        generation,
        // The test may be over.
        port: Arc::new(move |generation, event| drop(sender.send((generation, event)))),
        producer: None,
    };
    (spec, told)
}

fn batch(source_base: i64) -> Batch {
    let info = BatchInfo {
        source_base,
        source_next: source_base + 1,
        records: 0,
        bytes: 0,
        leader_epoch: -1,
        max_timestamp_ms: -1,
    };
    Batch { info, permit: Permit::empty(), body: Body::Batches(Vec::new()) }
}

fn written(source_next: i64) -> LaneEvent {
    LaneEvent::Acknowledged { source_next, target_next: None, segments: Vec::new(), bytes: 0 }
}

/// What was told, as generation and a word for the event.
fn events(told: &Told) -> Vec<(Generation, String)> {
    let word = |event| match event {
        LaneEvent::Fetched(batch) => format!("fetched {}", batch.info.source_base),
        LaneEvent::Acknowledged { source_next, .. } => format!("written {source_next}"),
        LaneEvent::SourceFailed(error) => error.to_string(),
        LaneEvent::WriteFailed(error) => error.fault.what,
        LaneEvent::SessionLost(reason) => reason,
        LaneEvent::Report(_) => "report".to_owned(),
    };
    told.try_iter().map(|(generation, event)| (generation, word(event))).collect()
}

fn tell_one(lane: &LaneCore, generation: Generation, event: LaneEvent) {
    let mut one = Some((generation, event));
    lane.tell(|| one.take());
}

#[test]
fn an_older_generation_is_told_nothing_once_the_lane_was_taken_over() {
    let ((first, told_first), (second, told_second)) = (spec(OLD), spec(NEW));
    let lane = LaneCore::new(&first, ());
    let fetch = lane.next_fetch(OLD).unwrap();
    lane.fetched(fetch, batch(5));
    lane.take_over(&second, |()| {});
    lane.fetched(fetch, batch(6));
    lane.source_failed(fetch, SourceError::UnknownPartition);
    tell_one(&lane, OLD, written(6));
    lane.report(OLD, Event::TimestampZero { records: 1 });
    assert_eq!(events(&told_first), [(OLD, "fetched 5".to_owned())]);
    assert_eq!((lane.next_fetch(OLD), lane.holder()), (None, Some(NEW)));
    assert!(!lane.is_fetching(fetch), "the fetch has ended with its generation");
    lane.close(OLD);
    tell_one(&lane, NEW, written(7));
    assert_eq!(events(&told_second), [(NEW, "written 7".to_owned())]);
}

#[test]
fn only_the_newest_fetch_hands_batches_on() {
    let (spec, told) = spec(OLD);
    let lane = LaneCore::new(&spec, ());
    let first = lane.next_fetch(OLD).unwrap();
    let second = lane.next_fetch(OLD).unwrap();
    assert_eq!((lane.is_fetching(first), lane.is_fetching(second)), (false, true));
    lane.fetched(first, batch(1));
    lane.fetched(second, batch(2));
    lane.source_failed(first, SourceError::UnknownPartition);
    assert_eq!(events(&told), [(OLD, "fetched 2".to_owned())]);
}

#[test]
fn a_closed_lane_tells_nothing_but_what_happened_is_decided_on() {
    let (spec, told) = spec(OLD);
    let lane = LaneCore::new(&spec, ());
    let fetch = lane.next_fetch(OLD).unwrap();
    lane.close(OLD);
    lane.fetched(fetch, batch(1));
    let mut left = vec![written(3), written(2)];
    lane.tell(|| left.pop().map(|event| (OLD, event)));
    assert!(left.is_empty(), "whoever waits for the writes must learn that they are done");
    lane.lost(|| LaneEvent::SessionLost("gone".to_owned()));
    assert_eq!((events(&told), lane.holder(), lane.next_fetch(OLD)), (vec![], None, None));
}

#[test]
fn a_lost_lane_is_told_once_and_opened_again() {
    let (first, told) = spec(OLD);
    let lane = LaneCore::new(&first, 0);
    lane.lost(|| {
        // The engine may look at its part of the lane.
        lane.lock().engine += 1;
        let fault = Fault::new(FaultKind::Other, "refused", "");
        LaneEvent::WriteFailed(WriteError { class: WriteErrorClass::Refuse, source_offset: 3, fault })
    });
    lane.lost(|| LaneEvent::SessionLost("gone".to_owned()));
    assert_eq!(events(&told), [(OLD, "refused".to_owned())]);
    assert!(!lane.is_held_by(OLD));
    let (second, _told) = spec(NEW);
    lane.take_over(&second, |writes| *writes += 10);
    let state = lane.lock();
    assert_eq!((state.engine, state.generation(), state.is_held_by(NEW)), (11, NEW, true));
}

/// A port that is slow, or waits for something, must not keep others from looking at the lane; but nothing else is
/// told or changed meanwhile.
#[test]
fn others_look_at_a_lane_while_it_tells_and_a_take_over_waits() {
    let (mut first, _) = spec(OLD);
    let (inside, entered) = channel();
    let (go_on, released) = channel::<()>();
    let released = parking_lot::Mutex::new(released);
    first.port = Arc::new(move |_, _| {
        inside.send(()).unwrap();
        released.lock().recv_timeout(Duration::from_secs(60)).unwrap();
    });
    let lane = LaneCore::new(&first, ());
    let (second, told) = spec(NEW);
    thread::scope(|scope| {
        scope.spawn(|| tell_one(&lane, OLD, written(1)));
        entered.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(lane.is_held_by(OLD) && lane.is_fetching(0), "it is not held up");
        assert!(lane.telling.try_lock().is_none(), "a take-over would wait, and so would the port itself");
        scope.spawn(|| {
            lane.take_over(&second, |()| {});
            tell_one(&lane, NEW, written(2));
        });
        go_on.send(()).unwrap();
    });
    assert_eq!(events(&told), [(NEW, "written 2".to_owned())]);
}

#[tokio::test]
async fn what_is_waited_for_is_looked_at_first_and_after_each_change() {
    let changed = Notify::new();
    until(&changed, || true).await;
    let mut looks = 0;
    let wait = until(&changed, || {
        looks += 1;
        // Told between the look and the wait, which is not missed.
        changed.notify_waiters();
        looks == 3
    });
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}
