//! The source side against a fake cluster.

mod fake;

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};

use crate::engine::SourceError;
use crate::fake::{Fault, Reply, Request};
use crate::wire::ResponseError;
use fake::{Fake, Once};

const MIB: usize = 1 << 20;

async fn until(what: &str, done: impl Fn() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ceiling = Duration::from_secs(60);
    tokio::time::timeout(ceiling, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// An answer to a request that names a topic: these bytes, wherever the request wants to begin.
fn answer_of(request: &Request, topic: &str, records: &Bytes) -> Option<Reply> {
    let asked: FetchRequest = request.decode();
    let asked = asked.topics.into_iter().find(|asked| asked.topic.as_str() == topic)?;
    let end = asked.partitions[0].fetch_offset + 1;
    let data = PartitionData::default()
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_records(Some(records.clone()));
    let topic = FetchableTopicResponse::default().with_topic(asked.topic).with_partitions(vec![data]);
    Some(request.answer(FetchResponse::default().with_responses(vec![topic])))
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_partitions_are_named_once() {
    let fake = Fake::start(96 * MIB).await;
    let _idle: Vec<_> = (0..50).map(|n| fake.reading(&format!("idle-{n}"), 0)).collect();
    fake.append("orders", 3, 10);
    let mut lane = fake.reading("orders", 1);
    lane.read_to(3).await;
    fake.append("orders", 1, 10);
    lane.read_to(4).await;
    until("the new offset is named", || {
        fake.seen.lock().fetches.iter().any(|fetch| fetch.named.contains(&("orders".to_owned(), 4)))
    })
    .await;
    let seen = fake.seen.lock();
    let names = |full: bool| seen.fetches.iter().filter(move |f| f.full == full).flat_map(|f| &f.named);
    for n in 0..50 {
        let name = format!("idle-{n}");
        let named = names(true).chain(names(false)).filter(|(named, _)| *named == name).count();
        assert_eq!(named, 1, "{name}");
    }
    assert_eq!(seen.fetches.iter().filter(|fetch| fetch.full).count(), 1);
    let offsets: Vec<_> = names(true).chain(names(false)).filter(|(name, _)| name == "orders").collect();
    assert_eq!(offsets.iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [1, 3, 4]);
    assert!(seen.fetches.iter().all(|fetch| fetch.rack == "here" && fetch.forgotten.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_when_sessions_and_connections_end() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 1, 10);
    let mut lane = fake.reading("orders", 0);
    lane.read_to(1).await;
    let faults = [
        Once::Evict,
        Once::Cut,
        Once::Refuse(ResponseError::InvalidFetchSessionEpoch),
        Once::Refuse(ResponseError::UnknownServerError),
        Once::Evict,
    ];
    for (fault, end) in faults.into_iter().zip(2..) {
        fake.strike(fault).await;
        fake.append("orders", 1, 10);
        lane.read_to(end).await;
    }
    assert!(fake.cluster.connections_at(1) >= 3, "a cut connection is made anew");
    assert!(fake.shared.ended().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_moved_is_followed() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 5, 10);
    fake.append("stays", 1, 10);
    let (mut lane, mut stays) = (fake.reading("orders", 0), fake.reading("stays", 0));
    lane.read_to(5).await;
    stays.read_to(1).await;
    for (leader, end) in [(2, 6), (1, 7), (2, 8)] {
        fake.cluster.move_leader("orders", 0, leader);
        fake.append("orders", 1, 10);
        lane.read_to(end).await;
        let last = fake
            .seen
            .lock()
            .fetches
            .iter()
            .rev()
            .find(|f| f.named.iter().any(|n| n.0 == "orders"))
            .map(|f| f.broker);
        assert_eq!(last, Some(leader));
    }
    fake.append("stays", 1, 10);
    stays.read_to(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_starts_again_gets_nothing_of_its_older_fetch() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 200, 10);
    let _idle = fake.reading("idle", 0);
    let mut lane = fake.lane("orders");
    for round in 0..40 {
        lane.start(&fake.source, (round * 37) % 200);
        if round % 3 == 0 {
            lane.batch().await;
        }
    }
    lane.start(&fake.source, 100);
    lane.read_to(200).await;
    fake.source.stop_fetch(&lane.lane);
    until("the partition is forgotten", || fake.seen.lock().fetches.iter().any(|f| !f.forgotten.is_empty()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_without_credit_is_forgotten_and_comes_back() {
    let fake = Fake::start(4 * MIB).await;
    fake.append("stuck", 8, MIB);
    fake.append("orders", 1, 10);
    let (mut stuck, mut lane) = (fake.reading("stuck", 0), fake.reading("orders", 0));
    let mut held = vec![stuck.batch().await];
    lane.read_to(1).await;
    until("the stuck lane is forgotten", || {
        fake.seen.lock().fetches.iter().any(|fetch| fetch.forgotten.contains(&"stuck".to_owned()))
    })
    .await;
    fake.append("orders", 1, 10);
    lane.read_to(2).await;
    while let Ok(event) = stuck.events.try_recv() {
        let crate::engine::LaneEvent::Fetched(batch) = event else { panic!("{event:?}") };
        assert_eq!(batch.info.source_base, stuck.next);
        stuck.next = batch.info.source_next;
        held.push(batch);
    }
    assert!(stuck.next < 8, "the budget has no room for all");
    assert!(fake.budget.in_flight_bytes() <= 5 * MIB as u64 + 4096, "{:?}", fake.budget);
    assert!(!stuck.lane.account.blocked_time().is_zero(), "it waits for credit");
    assert!(lane.lane.account.blocked_time().is_zero(), "the other never did");
    drop(held);
    stuck.read_to(8).await;
    fake.source.end().await;
    assert_eq!(fake.budget.in_flight_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_partition_are_told_and_spare_the_others() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 2, 10);
    let mut orders = fake.reading("orders", 0);
    let cases = [
        (ResponseError::OffsetOutOfRange, SourceError::OutOfRange { offset: 4 }),
        (ResponseError::TopicAuthorizationFailed, SourceError::Unauthorized(String::new())),
        (ResponseError::CorruptMessage, SourceError::Corrupt { offset: 4, detail: String::new() }),
    ];
    for (number, (code, expected)) in cases.into_iter().enumerate() {
        let name = format!("bad-{number}");
        fake.cluster.fail(Fault::of(ApiKey::Fetch, code).on(&name));
        let failure = fake.reading(&name, 4).failure().await;
        match (&failure, &expected) {
            (SourceError::Unauthorized(_), SourceError::Unauthorized(_)) => {}
            (SourceError::Corrupt { offset: 4, .. }, SourceError::Corrupt { .. }) => {}
            _ => assert_eq!(failure, expected),
        }
    }
    orders.read_to(2).await;
    fake.append("stale", 1, 10);
    let early = fake.cluster.batches("stale", 0)[0].bytes().clone();
    fake.cluster.intercept(ApiKey::Fetch, move |request| answer_of(request, "stale", &early));
    let stale = fake.reading("stale", 5).failure().await;
    assert!(matches!(&stale, SourceError::Retriable(text) if text.contains("before offset 5")), "{stale}");
    fake.append("other", 1, 10);
    let truncated = fake.reading("other", 9).failure().await;
    assert_eq!(truncated, SourceError::Truncated { offset: 9 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_must_stay_unknown_to_be_told_so() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 1, 10);
    let unknown = Fault::of(ApiKey::Fetch, ResponseError::UnknownTopicOrPartition);
    fake.cluster.fail(unknown.on("orders").times(1));
    fake.reading("orders", 0).read_to(1).await;
    let mut gone = fake.lane("gone");
    fake.cluster.delete_topic("gone");
    gone.start(&fake.source, 0);
    assert_eq!(gone.failure().await, SourceError::UnknownPartition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_not_handed_on() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 3, 10);
    fake.cluster.damage("orders", 0, 1);
    let mut lane = fake.reading("orders", 0);
    lane.read_to(1).await;
    let failure = lane.failure().await;
    assert!(matches!(failure, SourceError::Corrupt { offset: 1, .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closest_replica_is_read_until_it_fails() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 3, 10);
    fake.cluster.serve_racks(true);
    let mut lane = fake.reading("orders", 0);
    lane.read_to(3).await;
    let brokers = |fake: &Fake| {
        fake.seen.lock().fetches.iter().filter(|f| !f.named.is_empty()).map(|f| f.broker).collect::<Vec<_>>()
    };
    assert_eq!(brokers(&fake)[..2], [1, 2]);
    // Only the leader decides that an offset is out of range.
    fake.cluster.serve_racks(false);
    fake.cluster.fail(Fault::of(ApiKey::Fetch, ResponseError::OffsetOutOfRange).on("orders").at(2));
    fake.append("orders", 1, 10);
    lane.read_to(4).await;
    assert_eq!(brokers(&fake).last(), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_lanes_are_spread_over_several_connections_of_a_long_link() {
    const LANES: usize = 4;
    let fake = Fake::start(3 * MIB).await;
    fake.cluster.set_latency(Duration::from_millis(5));
    let names: Vec<_> = (0..LANES).map(|n| format!("busy-{n}")).collect();
    let appended: Vec<_> = names.iter().map(|name| (name.as_str(), 120, 100_000)).collect();
    fake.append_all(&appended);
    let readings = names.iter().map(|name| {
        let mut lane = fake.reading(name, 0);
        async move { lane.read_to(120).await }
    });
    futures::future::join_all(readings).await;
    // One connection is for look-ups.
    let connections = fake.cluster.connections_at(1);
    assert!((3..=5).contains(&connections), "{connections} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_batch_that_waits_does_not_keep_a_large_answer() {
    const ROUNDS: usize = 40;
    let fake = Fake::start(12 * MIB).await;
    let (mut big, mut small) = (fake.reading("big", 0), fake.reading("small", 0));
    let mut held = Vec::new();
    for _ in 0..ROUNDS {
        fake.append_all(&[("big", 1, MIB), ("small", 1, 10)]);
        held.push(small.batch().await);
        big.batch().await;
        let in_use = fake.wire.buffers_in_use_bytes();
        assert!(in_use <= 10 * MIB, "{in_use} bytes are kept for {} small batches", held.len());
    }
    assert!(held.iter().all(|batch| batch.info.records == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_session() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 1, 10);
    let lane = fake.lane_with("orders", std::sync::Arc::new(|_, _| panic!("the port is broken")));
    let fetch = lane.core.next_fetch(crate::model::Generation(1)).unwrap();
    fake.source.start_fetch(lane, fetch, 0, -1);
    until("the session is lost", || fake.shared.ended().is_some()).await;
    let reason = fake.shared.ended().unwrap();
    assert!(reason.contains("the port is broken"), "{reason}");
}
