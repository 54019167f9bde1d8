//! Lanes that only read.

use std::sync::Arc;
use std::time::Duration;

use mirrormesh::engine::budget::Budget;
use mirrormesh::engine::{self, Batch, Body, LaneEvent, LaneSpec, Remembered, Session, SessionSpec};
use mirrormesh::model::{Codec, Generation, Isolation, TopicId, TopicPartition};
use mirrormesh::topology::EngineKind;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{CEILING, KafkaClient, TestRecord};
use crate::records::flow::{cluster_end, settings};

/// A session whose lanes write nothing.
pub struct Reading {
    pub session: Arc<dyn Session>,
    pub budget: Arc<Budget>,
}

impl Reading {
    /// Reads from a cluster within a budget.
    pub fn start(client: &KafkaClient, isolation: Isolation, budget_bytes: usize) -> Self {
        let (settings, budget) = (settings(client), Budget::new(budget_bytes));
        let spec = SessionSpec {
            flow: "test".into(),
            source: cluster_end("east", &settings),
            target: cluster_end("west", &settings),
            isolation,
            codec: Codec::Lz4,
            account: budget.account(),
            expected_lanes: 1,
            remembered: Remembered::default(),
        };
        let on_lost = Box::new(|reason| panic!("the session is lost: {reason}"));
        let session = engine::start(EngineKind::Passthrough, spec, on_lost).expect("it has no settings");
        Self { session, budget }
    }

    /// Opens a lane and reads it from an offset on.
    pub async fn lane(&self, topic: &str, partition: i32, offset: i64) -> ReadLane {
        let id = TopicPartition::new(topic, partition);
        let (sender, events) = unbounded_channel();
        let spec = LaneSpec {
            source: id.clone(),
            target: id.clone(),
            source_topic_id: TopicId::default(),
            target_topic_id: TopicId::default(),
            generation: Generation(1),
            producer: None,
            port: Arc::new(move |_, event| {
                // The test may be over.
                let _ = sender.send(event);
            }),
        };
        self.session.open(spec).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        self.session.fetch(&id, Generation(1), offset, -1);
        ReadLane { id, events, next: offset }
    }

    pub async fn end(&self) {
        tokio::time::timeout(CEILING, self.session.shutdown(Duration::from_secs(10)))
            .await
            .expect("the session ends within the ceiling");
        assert_eq!(self.budget.in_flight_bytes(), 0, "nothing is held when all batches are dropped");
    }
}

/// A lane that is read.
pub struct ReadLane {
    pub id: TopicPartition,
    pub events: UnboundedReceiver<LaneEvent>,
    pub next: i64,
}

impl ReadLane {
    /// The next batch, which must start where the one before ended.
    pub async fn batch(&mut self) -> Batch {
        let event = tokio::time::timeout(CEILING, self.events.recv())
            .await
            .unwrap_or_else(|_| panic!("{}: nothing comes after offset {}", self.id, self.next))
            .expect("the lane holds the port");
        let LaneEvent::Fetched(batch) = event else { panic!("{}: {event:?}", self.id) };
        assert_eq!(batch.info.source_base, self.next, "{}: batches follow each other", self.id);
        self.next = batch.info.source_next;
        batch
    }

    /// Reads up to an offset; returns the records with their offsets.
    pub async fn read_to(&mut self, end: i64) -> Vec<(i64, TestRecord)> {
        let mut records = Vec::new();
        while self.next < end {
            records.extend(decode(&self.batch().await));
        }
        records
    }
}

/// The records of a batch that are to be mirrored: as many as it says.
pub fn decode(batch: &Batch) -> Vec<(i64, TestRecord)> {
    let Body::Batches(batches) = &batch.body else {
        panic!("the passthrough engine hands out stored batches")
    };
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).expect("the test writes text");
    let mut records = Vec::new();
    for stored in batches {
        for record in stored.records().unwrap_or_else(|error| panic!("{error}")) {
            if record.offset < batch.info.source_base {
                continue;
            }
            let value = |bytes: Option<bytes::Bytes>| bytes.map(|bytes| bytes.to_vec());
            let headers = record.headers.into_iter();
            let read = TestRecord {
                key: value(record.key),
                value: value(record.value),
                headers: headers.map(|header| (text(&header.key), value(header.value))).collect(),
                timestamp_ms: Some(record.timestamp_ms),
            };
            records.push((record.offset, read));
        }
    }
    assert_eq!(records.len(), batch.info.records as usize, "{:?}", batch.info);
    records
}
