//! Both engines through the seam, without a cluster.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::engine::budget::{Budget, Permit};
use crate::engine::{Batch, Body, LaneEvent, LaneSpec, Records};
use crate::model::{BatchInfo, FaultKind, Generation, TopicId, TopicPartition, WriteErrorClass};
use crate::wire::testing::settings;

const CEILING: Duration = Duration::from_secs(60);

struct ForeignRecords;

impl Records for ForeignRecords {
    fn trace_parents(&self, _: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

struct Opened {
    session: Arc<dyn Session>,
    budget: Arc<Budget>,
    account: Account,
    lane: TopicPartition,
    events: UnboundedReceiver<(Generation, LaneEvent)>,
}

/// A session between clusters that are away, and a lane in it.
async fn opened(engine: EngineKind) -> Opened {
    let end = |alias: &str| {
        // Nobody listens there.
        let settings = settings("127.0.0.1:1");
        ClusterEnd { wire: Wire::new(alias.into(), &settings).unwrap(), settings }
    };
    let budget = Budget::divided(64 << 20, 1);
    let account = budget.account();
    let spec = SessionSpec {
        flow: "test".into(),
        source: end("east"),
        target: end("west"),
        isolation: Isolation::ReadCommitted,
        codec: Codec::Lz4,
        account: account.clone(),
        expected_lanes: 1,
        remembered: Remembered::default(),
    };
    let session = start(engine, spec, Box::new(|reason| panic!("the session is lost: {reason}"))).unwrap();
    let (sender, events) = unbounded_channel();
    let lane = TopicPartition::new("orders", 0);
    let spec = LaneSpec {
        source: lane.clone(),
        target: lane.clone(),
        source_topic_id: TopicId::default(),
        target_topic_id: TopicId::default(),
        generation: Generation(1),
        // The test may be over.
        port: Arc::new(move |generation, event| drop(sender.send((generation, event)))),
        producer: None,
    };
    session.open(spec).await.unwrap();
    Opened { session, budget, account, lane, events }
}

impl Opened {
    fn write(&self, source_base: i64, body: Body) {
        let info = BatchInfo {
            source_base,
            source_next: source_base + 1,
            records: 1,
            bytes: 100,
            leader_epoch: -1,
            max_timestamp_ms: -1,
        };
        let permit: Permit = self.account.try_reserve(100).unwrap();
        self.session.write(&self.lane, Generation(1), Batch { info, permit, body });
    }

    async fn event(&mut self) -> (Generation, LaneEvent) {
        tokio::time::timeout(CEILING, self.events.recv()).await.unwrap().unwrap()
    }
}

async fn a_foreign_body_fails_the_write(engine: EngineKind, foreign: fn() -> Body) {
    let mut lane = opened(engine).await;
    lane.write(7, foreign());
    let (generation, event) = lane.event().await;
    let LaneEvent::WriteFailed(error) = event else { panic!("{event:?}") };
    assert_eq!((generation, error.class, error.source_offset), (Generation(1), WriteErrorClass::Session, 7));
    assert_eq!(error.fault.kind, FaultKind::Other);
    assert!(error.fault.what.contains(engine.as_str()), "{}", error.fault.what);
    lane.write(8, foreign());
    assert_eq!(lane.budget.in_flight_bytes(), 0, "its share of the budget is freed");
    tokio::time::timeout(CEILING, lane.session.shutdown(Duration::ZERO)).await.unwrap();
    let (_, event) = lane.event().await;
    assert!(matches!(event, LaneEvent::SessionLost(_)), "a failure is told once: {event:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passthrough_writes_no_records_that_another_engine_decoded() {
    a_foreign_body_fails_the_write(EngineKind::Passthrough, || Body::Records(Box::new(ForeignRecords))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_engine_writes_no_stored_batches() {
    a_foreign_body_fails_the_write(EngineKind::Records, || Body::Batches(Vec::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_engine_writes_no_records_in_a_form_that_it_does_not_know() {
    a_foreign_body_fails_the_write(EngineKind::Records, || Body::Records(Box::new(ForeignRecords))).await;
}
