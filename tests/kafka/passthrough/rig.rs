//! A session in miniature: it is given stored batches of our own making.

use std::sync::Arc;

use bytes::Bytes;
use mirrormesh::batch::{BatchBuilder, RawBatch, Record};
use mirrormesh::engine::budget::{Account, Budget};
use mirrormesh::engine::{self, Batch, Body, LaneSpec, Remembered, Session, SessionSpec};
use mirrormesh::formats::ProducerState;
use mirrormesh::model::{
    BatchInfo, Codec, FaultKind, Generation, Isolation, Segment, TopicId, TopicPartition, WriteErrorClass,
};
use mirrormesh::telemetry::clock::now_ms;
use mirrormesh::topology::EngineKind;
use tokio::sync::mpsc::unbounded_channel;

use crate::common::{CEILING, KafkaClient, pair, topic};
use crate::records::flow::{Lane, Seen, cluster_end, settings};
use crate::records::raw;

/// A session that writes to partition 0 of a topic.
pub struct Rig {
    pub session: Arc<dyn Session>,
    pub account: Account,
    pub client: KafkaClient,
    pub topic: String,
}

impl Rig {
    /// A session that writes to a fresh topic.
    pub async fn new(name: &str, config: &[(&str, &str)]) -> Self {
        let client = pair().await.west.client().clone();
        let topic = topic(name);
        client.create_topic(&topic, 1, config).await;
        Self::on(&client, &topic)
    }

    pub fn on(client: &KafkaClient, topic: &str) -> Self {
        let account = Budget::new(64 << 20).account();
        let settings = settings(client);
        let spec = SessionSpec {
            flow: "test".into(),
            source: cluster_end("east", &settings),
            target: cluster_end("west", &settings),
            isolation: Isolation::ReadCommitted,
            codec: Codec::Lz4,
            account: account.clone(),
            expected_lanes: 1,
            remembered: Remembered::default(),
        };
        let on_lost = Box::new(|reason| panic!("the session was lost: {reason}"));
        let session = engine::start(EngineKind::Passthrough, spec, on_lost).expect("it has no settings");
        Self { session, account, client: client.clone(), topic: topic.to_owned() }
    }

    pub async fn lane(&self, generation: u64, producer: Option<ProducerState>) -> Lane {
        let (sender, events) = unbounded_channel();
        let (id, generation) = (TopicPartition::new("orders", 0), Generation(generation));
        let spec = LaneSpec {
            source: id.clone(),
            target: TopicPartition::new(self.topic.as_str(), 0),
            source_topic_id: TopicId::default(),
            target_topic_id: TopicId::default(),
            generation,
            producer,
            port: Arc::new(move |generation, event| {
                // The test may be over.
                let _ = sender.send((generation, event));
            }),
        };
        let opened = tokio::time::timeout(CEILING, self.session.open(spec))
            .await
            .expect("the lane opens within the ceiling")
            .expect("the session lives");
        Lane { session: self.session.clone(), id, generation, opened, events, seen: Seen::default() }
    }

    pub fn write(&self, lane: &Lane, stored: &Stored) {
        let permit = self.account.try_reserve(stored.bytes.len() as u64).expect("the budget is large");
        let body = Body::Batches(vec![RawBatch::parse(stored.bytes.clone()).expect("a whole batch")]);
        self.session.write(&lane.id, lane.generation, Batch { info: stored.info, permit, body });
    }

    pub async fn read(&self) -> Vec<Record> {
        raw::read(&self.client, &self.topic).await
    }

    pub async fn values(&self) -> Vec<String> {
        self.read().await.iter().map(value).collect()
    }

    pub async fn end(&self) {
        self.session.shutdown(CEILING).await;
        assert_eq!(self.account.held_bytes(), 0, "permits are freed");
    }
}

pub fn value(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// A batch as a source stores it.
pub struct Stored {
    pub info: BatchInfo,
    pub bytes: Bytes,
}

/// Builds a batch of a foreign transaction that holds these source offsets, each with its offset as the value.
pub fn stored(offsets: &[i64]) -> Stored {
    stored_with(offsets, Codec::Lz4, "", |bytes| bytes)
}

pub fn stored_with(
    offsets: &[i64],
    codec: Codec,
    filler: &str,
    patch: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Stored {
    let base = offsets[0];
    let mut builder =
        BatchBuilder::new(codec).base_offset(base).leader_epoch(7).producer(4711, 3, 99).transactional(true);
    let mut next = base;
    for &offset in offsets {
        builder.skip_offsets(u32::try_from(offset - next).expect("offsets rise"));
        builder.push(now_ms(), Some(b"key"), Some(format!("{offset}{filler}").as_bytes()), &[]);
        next = offset + 1;
    }
    let bytes = Bytes::from(patch(builder.build().expect("there are records").to_vec()));
    let info = BatchInfo {
        source_base: base,
        source_next: next,
        records: u32::try_from(offsets.len()).expect("few"),
        bytes: bytes.len(),
        leader_epoch: 7,
        max_timestamp_ms: now_ms(),
    };
    Stored { info, bytes }
}

/// Sets attribute bits, as only a broker does.
pub fn with_attributes(bits: i16) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |mut bytes| {
        let attributes = i16::from_be_bytes([bytes[21], bytes[22]]) | bits;
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

pub fn segment(source_base: i64, target_base: i64, count: u32) -> Segment {
    Segment { source_base, target_base, count }
}

pub async fn acknowledged(lane: &mut Lane, source_next: i64) {
    while lane.seen.acknowledged.is_none_or(|reached| reached < source_next) {
        assert!(lane.next().await.is_none(), "nothing is fetched");
        assert_eq!(lane.seen.write_error, None);
        assert_eq!(lane.seen.lost, None);
    }
}

pub async fn refused(lane: &mut Lane) -> (WriteErrorClass, FaultKind, String) {
    while lane.seen.write_error.is_none() {
        assert!(lane.next().await.is_none(), "nothing is fetched");
    }
    let error = lane.seen.write_error.clone().expect("it was just seen");
    (error.class, error.fault.kind, format!("{} at {}", error.fault, error.source_offset))
}
