//! The source side against scripted brokers.

mod fake;

use crate::engine::SourceError;
use crate::wire::ResponseError;
use fake::{Fake, Fault};

const MIB: usize = 1 << 20;

async fn until(what: &str, done: impl Fn() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let ceiling = std::time::Duration::from_secs(60);
    tokio::time::timeout(ceiling, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
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
        fake.state.lock().fetches.iter().any(|fetch| fetch.named.contains(&("orders".to_owned(), 4)))
    })
    .await;
    let state = fake.state.lock();
    let names = |full: bool| state.fetches.iter().filter(move |f| f.full == full).flat_map(|f| &f.named);
    for n in 0..50 {
        let name = format!("idle-{n}");
        let named = names(true).chain(names(false)).filter(|(named, _)| *named == name).count();
        assert_eq!(named, 1, "{name}");
    }
    assert_eq!(state.fetches.iter().filter(|fetch| fetch.full).count(), 1);
    let offsets: Vec<_> = names(true).chain(names(false)).filter(|(name, _)| name == "orders").collect();
    assert_eq!(offsets.iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [1, 3, 4]);
    assert!(state.fetches.iter().all(|fetch| fetch.rack == "here" && fetch.forgotten.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_when_sessions_and_connections_end() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 1, 10);
    let mut lane = fake.reading("orders", 0);
    lane.read_to(1).await;
    let faults = [
        Fault::Evict,
        Fault::Cut,
        Fault::Refuse(ResponseError::InvalidFetchSessionEpoch),
        Fault::Refuse(ResponseError::UnknownServerError),
        Fault::Evict,
    ];
    for (fault, end) in faults.into_iter().zip(2..) {
        fake.state.lock().faults.push(fault);
        until("the fault happens", || fake.state.lock().faults.is_empty()).await;
        fake.append("orders", 1, 10);
        lane.read_to(end).await;
    }
    assert!(fake.brokers[0].connections() >= 3, "a cut connection is made anew");
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
        fake.state.lock().leaders.insert("orders".to_owned(), leader);
        fake.append("orders", 1, 10);
        lane.read_to(end).await;
        let last = fake
            .state
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
    until("the partition is forgotten", || fake.state.lock().fetches.iter().any(|f| !f.forgotten.is_empty()))
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
        fake.state.lock().fetches.iter().any(|fetch| fetch.forgotten.contains(&"stuck".to_owned()))
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
        fake.state.lock().errors.insert((1, name.clone()), (code, true));
        let failure = fake.reading(&name, 4).failure().await;
        match (&failure, &expected) {
            (SourceError::Unauthorized(_), SourceError::Unauthorized(_)) => {}
            (SourceError::Corrupt { offset: 4, .. }, SourceError::Corrupt { .. }) => {}
            _ => assert_eq!(failure, expected),
        }
    }
    orders.read_to(2).await;
    fake.append("stale", 1, 10);
    fake.state.lock().logs.get_mut("stale").unwrap()[0].0 = 10;
    let stale = fake.reading("stale", 5).failure().await;
    assert!(matches!(&stale, SourceError::Retriable(text) if text.contains("before offset 5")), "{stale}");
    fake.state.lock().diverged = true;
    let truncated = fake.reading("other", 9).failure().await;
    assert_eq!(truncated, SourceError::Truncated { offset: 9 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_must_stay_unknown_to_be_told_so() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 1, 10);
    let once = (ResponseError::UnknownTopicOrPartition, false);
    fake.state.lock().errors.insert((1, "orders".to_owned()), once);
    fake.reading("orders", 0).read_to(1).await;
    fake.state.lock().unknown = true;
    assert_eq!(fake.reading("gone", 0).failure().await, SourceError::UnknownPartition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_not_handed_on() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 3, 10);
    {
        let mut state = fake.state.lock();
        let batch = &mut state.logs.get_mut("orders").unwrap()[1].1;
        let mut bytes = batch.to_vec();
        bytes[65] ^= 1;
        *batch = bytes.into();
    }
    let mut lane = fake.reading("orders", 0);
    lane.read_to(1).await;
    let failure = lane.failure().await;
    assert!(matches!(failure, SourceError::Corrupt { offset: 1, .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closest_replica_is_read_until_it_fails() {
    let fake = Fake::start(96 * MIB).await;
    fake.append("orders", 3, 10);
    fake.state.lock().replica = Some(2);
    let mut lane = fake.reading("orders", 0);
    lane.read_to(3).await;
    let brokers = |fake: &Fake| {
        fake.state.lock().fetches.iter().filter(|f| !f.named.is_empty()).map(|f| f.broker).collect::<Vec<_>>()
    };
    assert_eq!(brokers(&fake)[..2], [1, 2]);
    {
        // Only the leader decides that an offset is out of range.
        let mut state = fake.state.lock();
        state.replica = None;
        state.errors.insert((2, "orders".to_owned()), (ResponseError::OffsetOutOfRange, true));
    }
    fake.append("orders", 1, 10);
    lane.read_to(4).await;
    assert_eq!(brokers(&fake).last(), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_lanes_are_spread_over_several_connections_of_a_long_link() {
    const LANES: usize = 4;
    let fake = Fake::start(3 * MIB).await;
    let names: Vec<_> = (0..LANES).map(|n| format!("busy-{n}")).collect();
    let appended: Vec<_> = names.iter().map(|name| (name.as_str(), 120, 100_000)).collect();
    fake.append_all(&appended);
    let readings = names.iter().map(|name| {
        let mut lane = fake.reading(name, 0);
        async move { lane.read_to(120).await }
    });
    futures::future::join_all(readings).await;
    // One connection is for look-ups.
    let connections = fake.brokers[0].connections();
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
