//! A fake cluster, and lanes that read it.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::batch::BatchBuilder;
use crate::engine::budget::{Account, Budget};
use crate::engine::passthrough::Shared;
use crate::engine::passthrough::lane::Lane;
use crate::engine::passthrough::source::{Source, SourceSpec};
use crate::engine::{Batch, LaneEvent, LanePort, LaneSpec, SourceError};
use crate::fake::{FakeCluster, Reply, Request};
use crate::model::Codec;
use crate::model::{Generation, Isolation, TopicId, TopicPartition};
use crate::wire::testing::settings;
use crate::wire::{ResponseError, Wire};

/// The epoch under which a partition is led first.
const EPOCH: i32 = 0;

/// What goes wrong once.
#[derive(Clone, Copy)]
pub(super) enum Once {
    /// The brokers have given up their sessions.
    Evict,
    /// The connection is cut instead of an answer.
    Cut,
    /// The whole answer is this error.
    Refuse(ResponseError),
}

/// A Fetch request as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) broker: i32,
    pub(super) full: bool,
    /// Topics that were named, with their offsets.
    pub(super) named: Vec<(String, i64)>,
    pub(super) forgotten: Vec<String>,
    pub(super) rack: String,
}

/// What Fetch requests were, and what the next ones meet.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) fetches: Vec<Fetched>,
    faults: Vec<Once>,
}

pub(super) struct Fake {
    pub(super) cluster: FakeCluster,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) budget: Arc<Budget>,
    account: Account,
    pub(super) wire: Wire,
    pub(super) source: Source,
    pub(super) shared: Arc<Shared>,
}

impl Fake {
    /// A cluster of two brokers, the second in our rack, and a source side within a budget. Broker 1 leads.
    pub(super) async fn start(budget_bytes: usize) -> Self {
        let cluster = FakeCluster::builder().racks(&["there", "here"]).start().await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let log = seen.clone();
        cluster.intercept(ApiKey::Fetch, move |request| log.lock().take(request));
        let budget = Budget::new(budget_bytes);
        let account = budget.account();
        let shared = Arc::new(Shared::new(Box::new(|_| {})));
        let wire = Wire::new("east".into(), &settings(&cluster.address(1).to_string())).unwrap();
        let spec = SourceSpec {
            flow: "test".into(),
            wire: wire.clone(),
            isolation: Isolation::ReadCommitted,
            rack: Some("here".to_owned()),
            account: account.clone(),
            round_trips: Arc::default(),
        };
        let source = Source::start(spec, shared.clone());
        Self { cluster, seen, budget, account, wire, source, shared }
    }

    /// Has something go wrong, and waits until a request has met it.
    pub(super) async fn strike(&self, fault: Once) {
        let sessions = || self.seen.lock().fetches.iter().filter(|fetch| fetch.full).count();
        let before = sessions();
        match fault {
            Once::Evict => {
                self.cluster.evict_sessions();
                self.cluster.until("a new session is asked for", |_| sessions() > before).await;
            }
            fault => {
                self.seen.lock().faults.push(fault);
                self.cluster.until("the fault happens", |_| self.seen.lock().faults.is_empty()).await;
            }
        }
    }

    /// Creates a topic of one partition unless it is there.
    fn ensure(&self, topic: &str) {
        if !self.cluster.topics().contains_key(topic) {
            self.cluster.create_topic(topic, 1, &[]);
        }
    }

    /// Appends batches of one record each to a topic.
    pub(super) fn append(&self, topic: &str, batches: usize, value_bytes: usize) {
        self.append_all(&[(topic, batches, value_bytes)]);
    }

    /// Appends to several topics at once.
    pub(super) fn append_all(&self, appended: &[(&str, usize, usize)]) {
        let mut batches = Vec::new();
        for (topic, count, value_bytes) in appended {
            self.ensure(topic);
            for _ in 0..*count {
                let mut builder = BatchBuilder::new(Codec::None);
                builder.push(1, None, Some(&vec![b'v'; *value_bytes]), &[]);
                batches.push((*topic, 0, builder));
            }
        }
        self.cluster.append_all(batches);
    }

    /// Opens a lane.
    pub(super) fn lane(&self, topic: &str) -> Reading {
        let (sender, events) = unbounded_channel();
        let port = Arc::new(move |_, event| {
            // The test may be over.
            let _ = sender.send(event);
        });
        Reading { lane: self.lane_with(topic, port), events, next: 0 }
    }

    /// Opens a lane that tells its events to a port.
    pub(super) fn lane_with(&self, topic: &str, port: LanePort) -> Arc<Lane> {
        self.ensure(topic);
        let id = TopicPartition::new(topic, 0);
        let (source, target, generation) = (id.clone(), id, Generation(1));
        let spec = LaneSpec {
            source,
            target,
            source_topic_id: TopicId::default(),
            target_topic_id: TopicId::default(),
            generation,
            port,
            producer: None,
        };
        Arc::new(Lane::new(&spec, self.account.child()))
    }

    /// Opens a lane and reads it from an offset on.
    pub(super) fn reading(&self, topic: &str, offset: i64) -> Reading {
        let mut reading = self.lane(topic);
        reading.start(&self.source, offset);
        reading
    }
}

/// A lane as its partition sees it.
pub(super) struct Reading {
    pub(super) lane: Arc<Lane>,
    pub(super) events: UnboundedReceiver<LaneEvent>,
    pub(super) next: i64,
}

impl Reading {
    /// Reads from an offset on.
    pub(super) fn start(&mut self, source: &Source, offset: i64) {
        let fetch = self.lane.core.next_fetch(Generation(1)).unwrap();
        while self.events.try_recv().is_ok() {}
        self.next = offset;
        source.start_fetch(self.lane.clone(), fetch, offset, EPOCH);
    }

    async fn event(&mut self) -> LaneEvent {
        let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
        event.unwrap_or_else(|_| panic!("nothing comes after offset {}", self.next)).unwrap()
    }

    /// The next batch, which must start where the one before ended.
    pub(super) async fn batch(&mut self) -> Batch {
        match self.event().await {
            LaneEvent::Fetched(batch) => {
                assert_eq!(batch.info.source_base, self.next);
                self.next = batch.info.source_next;
                batch
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn read_to(&mut self, end: i64) {
        while self.next < end {
            self.batch().await;
        }
        assert_eq!(self.next, end);
    }

    /// The error that ends the fetch.
    pub(super) async fn failure(&mut self) -> SourceError {
        match self.event().await {
            LaneEvent::SourceFailed(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

impl Seen {
    /// Takes note of a request, and answers it if something is to go wrong.
    fn take(&mut self, request: &Request) -> Option<Reply> {
        let asked: FetchRequest = request.decode();
        let mut named = Vec::new();
        for topic in &asked.topics {
            for part in &topic.partitions {
                assert!(part.current_leader_epoch >= EPOCH, "{part:?}");
                assert!((-1..=part.current_leader_epoch).contains(&part.last_fetched_epoch), "{part:?}");
                named.push((topic.topic.to_string(), part.fetch_offset));
            }
        }
        let forgotten = asked.forgotten_topics_data.iter().map(|topic| topic.topic.to_string()).collect();
        let (full, rack) = (asked.session_epoch == 0, asked.rack_id.to_string());
        self.fetches.push(Fetched { broker: request.broker, full, named, forgotten, rack });
        match self.faults.pop()? {
            Once::Refuse(code) => Some(request.answer(FetchResponse::default().with_error_code(code.code()))),
            Once::Cut | Once::Evict => Some(Reply::Close),
        }
    }
}
