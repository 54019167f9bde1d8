//! A flow in miniature: a session of the records engine, and lanes that write what they fetch.

use std::sync::Arc;
use std::time::Duration;

use mirrormesh::config::client::ClientSettings;
use mirrormesh::engine::budget::Budget;
use mirrormesh::engine::{
    self, Batch, ClusterEnd, LaneEvent, LaneOpened, LaneSpec, Remembered, Session, SessionSpec, SourceError,
    TargetLimits, WriteError,
};
use mirrormesh::model::{BatchInfo, Codec, Event, Generation, Segment, TopicId, TopicPartition};
use mirrormesh::topology::{EngineKind, Isolation};
use mirrormesh::wire::Wire;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{CEILING, KafkaClient, wait_for};

/// Client settings for a cluster that is reached without security.
pub fn settings(client: &KafkaClient) -> ClientSettings {
    ClientSettings {
        bootstrap: client.bootstrap().split(',').map(str::to_owned).collect(),
        client_id: "mirrormesh".to_owned(),
        rack: None,
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_millis(500),
        rdkafka_consumer: vec![("broker.address.family".to_owned(), "v4".to_owned())],
        rdkafka_producer: vec![("broker.address.family".to_owned(), "v4".to_owned())],
    }
}

/// A cluster as a session knows it.
pub fn cluster_end(alias: &str, settings: &ClientSettings) -> ClusterEnd {
    let wire = Wire::new(alias.into(), settings).expect("the settings are sound");
    ClusterEnd { settings: settings.clone(), wire }
}

/// How a flow is built.
pub struct FlowBuilder {
    pub source: ClientSettings,
    pub target: ClientSettings,
    pub codec: Codec,
    pub isolation: Isolation,
    pub budget: Arc<Budget>,
    pub remembered: Remembered,
    pub limits: Vec<(String, TargetLimits)>,
}

impl FlowBuilder {
    pub fn new(source: &KafkaClient, target: &KafkaClient) -> Self {
        Self {
            source: settings(source),
            target: settings(target),
            codec: Codec::Lz4,
            isolation: Isolation::ReadCommitted,
            budget: Budget::divided(96 << 20, 1),
            remembered: Remembered::default(),
            limits: Vec::new(),
        }
    }

    /// What a remote topic accepts.
    pub fn limits(mut self, topic: &str, limits: TargetLimits) -> Self {
        self.limits.push((topic.to_owned(), limits));
        self
    }

    pub fn start(&self) -> Flow {
        let lost = Arc::new(Mutex::new(None));
        let told = lost.clone();
        let session = engine::start(
            EngineKind::Records,
            SessionSpec {
                flow: "test".into(),
                source: cluster_end("east", &self.source),
                target: cluster_end("west", &self.target),
                isolation: self.isolation,
                codec: self.codec,
                account: self.budget.account(),
                expected_lanes: 4,
                remembered: self.remembered.clone(),
            },
            Box::new(move |reason| *told.lock() = Some(reason)),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        for (topic, limits) in &self.limits {
            session.set_target_limits(topic, *limits);
        }
        Flow { session, lost }
    }
}

/// A running session.
pub struct Flow {
    pub session: Arc<dyn Session>,
    lost: Arc<Mutex<Option<String>>>,
}

impl Flow {
    /// Why the session was lost, if it was.
    pub fn lost(&self) -> Option<String> {
        self.lost.lock().clone()
    }

    /// Waits until the session says that it is lost.
    pub async fn await_lost(&self) -> String {
        wait_for("the session to be lost", async || self.lost().ok_or_else(|| "it goes on".to_owned())).await
    }

    /// Opens a lane from partition 0 of one topic to partition 0 of another.
    pub async fn lane(&self, source: &str, target: &str, generation: u64) -> Lane {
        self.lane_of(TopicPartition::new(source, 0), TopicPartition::new(target, 0), generation).await
    }

    /// Opens a lane.
    pub async fn lane_of(&self, source: TopicPartition, target: TopicPartition, generation: u64) -> Lane {
        let (sender, events) = unbounded_channel();
        let generation = Generation(generation);
        let spec = LaneSpec {
            source: source.clone(),
            target,
            source_topic_id: TopicId::default(),
            target_topic_id: TopicId::default(),
            generation,
            producer: None,
            port: Arc::new(move |generation, event| {
                // The test may be over.
                let _ = sender.send((generation, event));
            }),
        };
        let opened = tokio::time::timeout(CEILING, self.session.open(spec))
            .await
            .expect("the lane opens within the ceiling")
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        Lane { session: self.session.clone(), id: source, generation, opened, events, seen: Seen::default() }
    }

    /// Ends the session; every thread of it is gone afterwards.
    pub async fn shutdown(&self) {
        tokio::time::timeout(CEILING, self.session.shutdown(Duration::from_secs(20)))
            .await
            .expect("the session ends within the ceiling");
    }
}

/// An open lane.
pub struct Lane {
    pub session: Arc<dyn Session>,
    pub id: TopicPartition,
    pub generation: Generation,
    pub opened: LaneOpened,
    pub events: UnboundedReceiver<(Generation, LaneEvent)>,
    pub seen: Seen,
}

/// What a lane was told.
#[derive(Debug, Default)]
pub struct Seen {
    pub fetched: Vec<BatchInfo>,
    pub segments: Vec<Segment>,
    pub acknowledged: Option<i64>,
    pub target_next: Option<i64>,
    pub bytes: u64,
    pub source_error: Option<SourceError>,
    pub write_error: Option<WriteError>,
    pub lost: Option<String>,
    pub reports: Vec<Event>,
}

impl Seen {
    /// Records known to be on the target.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.count)).sum()
    }
}

impl Lane {
    /// Starts to fetch.
    pub fn fetch(&self, offset: i64) {
        self.session.fetch(&self.id, self.generation, offset, -1);
    }

    /// The next event; a batch is handed out, everything else is noted.
    pub async fn next(&mut self) -> Option<Batch> {
        let (generation, event) = tokio::time::timeout(CEILING, self.events.recv())
            .await
            .unwrap_or_else(|_| panic!("{}: nothing happens any more; seen: {:?}", self.id, self.seen))
            .expect("the lane holds the port");
        assert_eq!(generation, self.generation, "{}: an event of another generation", self.id);
        match event {
            LaneEvent::Fetched(batch) => {
                let expected = self.seen.fetched.last().map_or(batch.info.source_base, |b| b.source_next);
                assert_eq!(batch.info.source_base, expected, "{}: batches follow each other", self.id);
                self.seen.fetched.push(batch.info);
                return Some(batch);
            }
            LaneEvent::Acknowledged { source_next, target_next, segments, bytes } => {
                assert!(self.seen.write_error.is_none(), "nothing is acknowledged after a failure");
                assert!(self.seen.acknowledged.is_none_or(|before| before < source_next));
                self.seen.acknowledged = Some(source_next);
                self.seen.target_next = target_next.or(self.seen.target_next);
                self.seen.segments.extend(segments);
                self.seen.bytes += bytes;
            }
            LaneEvent::SourceFailed(error) => self.seen.source_error = Some(error),
            LaneEvent::WriteFailed(error) => {
                assert_eq!(self.seen.write_error.replace(error), None, "a failure is told once");
            }
            LaneEvent::SessionLost(reason) => self.seen.lost = Some(reason),
            LaneEvent::Report(event) => self.seen.reports.push(event),
        }
        None
    }

    /// Writes what is fetched, until `done`.
    pub async fn mirror_until(&mut self, done: impl Fn(&Seen) -> bool) {
        while !done(&self.seen) {
            if let Some(batch) = self.next().await {
                self.session.write(&self.id, self.generation, batch);
            }
        }
    }

    /// Writes what is fetched until everything below `source_next` is on the target.
    pub async fn mirror_to(&mut self, source_next: i64) {
        self.mirror_until(|seen| {
            assert_eq!(seen.source_error, None);
            assert_eq!(seen.write_error, None);
            assert_eq!(seen.lost, None);
            seen.acknowledged.is_some_and(|acknowledged| acknowledged >= source_next)
        })
        .await;
    }

    /// Fetches without writing until `done`.
    pub async fn receive_until(&mut self, done: impl Fn(&Seen) -> bool) -> Vec<Batch> {
        let mut batches = Vec::new();
        while !done(&self.seen) {
            batches.extend(self.next().await);
        }
        batches
    }
}
