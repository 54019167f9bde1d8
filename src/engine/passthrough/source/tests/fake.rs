//! A cluster of scripted brokers whose logs are in memory, and lanes that read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse, TopicName};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::batch::BatchBuilder;
use crate::engine::budget::{Account, Budget};
use crate::engine::passthrough::Shared;
use crate::engine::passthrough::lane::Lane;
use crate::engine::passthrough::source::{Source, SourceSpec};
use crate::engine::{Batch, LaneEvent, LanePort, LaneSpec, SourceError};
use crate::model::{Codec, Generation, Isolation, TopicId, TopicPartition};
use crate::wire::testing::{EPOCH, Reply, Request, Scripted};
use crate::wire::{ResponseError, Wire};

/// The logs, and what is to go wrong.
#[derive(Default)]
pub(super) struct State {
    /// Batches of partition 0 of a topic: next offset and bytes.
    pub(super) logs: HashMap<String, Vec<(i64, Bytes)>>,
    /// Who leads partition 0 of a topic; broker 1 unless told.
    pub(super) leaders: HashMap<String, i32>,
    /// What a broker answers of a topic instead of records: once, or always.
    pub(super) errors: HashMap<(i32, String), (ResponseError, bool)>,
    /// Who is to be read instead of the leader.
    pub(super) replica: Option<i32>,
    /// The log ends in an earlier epoch.
    pub(super) diverged: bool,
    /// Metadata knows no topic.
    pub(super) unknown: bool,
    /// What becomes of the next Fetch requests.
    pub(super) faults: Vec<Fault>,
    pub(super) fetches: Vec<Fetched>,
    sessions: BTreeMap<i32, (i32, BTreeMap<String, FetchPartition>)>,
    next_session: i32,
    ports: Vec<i32>,
}

#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// The broker has given up its sessions.
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

pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) brokers: Vec<Scripted>,
    pub(super) budget: Arc<Budget>,
    account: Account,
    pub(super) wire: Wire,
    pub(super) source: Source,
    pub(super) shared: Arc<Shared>,
}

impl Fake {
    /// A cluster of two brokers, and a source side within a budget.
    pub(super) async fn start(budget_bytes: usize) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let mut brokers = Vec::new();
        for id in [1, 2] {
            let state = state.clone();
            brokers.push(Scripted::start(move |request| reply(&state, id, request)).await);
        }
        let port = |broker: &Scripted| broker.address().rsplit(':').next().unwrap().parse().unwrap();
        state.lock().ports = brokers.iter().map(port).collect();
        let budget = Budget::new(budget_bytes);
        let account = budget.account();
        let shared = Arc::new(Shared::new(Box::new(|_| {})));
        let wire = brokers[0].client();
        let spec = SourceSpec {
            flow: "test".into(),
            wire: wire.clone(),
            isolation: Isolation::ReadCommitted,
            rack: Some("here".to_owned()),
            account: account.clone(),
            round_trips: Arc::default(),
        };
        let source = Source::start(spec, shared.clone());
        Self { state, brokers, budget, account, wire, source, shared }
    }

    /// Appends batches of one record each to a topic.
    pub(super) fn append(&self, topic: &str, batches: usize, value_bytes: usize) {
        self.append_all(&[(topic, batches, value_bytes)]);
    }

    /// Appends to several topics at once.
    pub(super) fn append_all(&self, appended: &[(&str, usize, usize)]) {
        let mut state = self.state.lock();
        for (topic, batches, value_bytes) in appended {
            state.append(topic, *batches, *value_bytes);
        }
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

impl State {
    fn append(&mut self, topic: &str, batches: usize, value_bytes: usize) {
        let log = self.logs.entry(topic.to_owned()).or_default();
        for _ in 0..batches {
            let base = log.last().map_or(0, |(next, _)| *next);
            let mut builder = BatchBuilder::new(Codec::None).base_offset(base).leader_epoch(EPOCH);
            builder.push(1, None, Some(&vec![b'v'; value_bytes]), &[]);
            log.push((base + 1, builder.build().unwrap()));
        }
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

fn reply(state: &Mutex<State>, broker: i32, request: &Request) -> Reply {
    match request.api {
        ApiKey::Metadata => metadata(&state.lock(), request),
        ApiKey::Fetch => fetch(state, broker, request),
        ApiKey::ApiVersions => {
            // A long link: one connection may not fill it.
            std::thread::sleep(Duration::from_millis(5));
            request.standard()
        }
        _ => request.standard(),
    }
}

fn metadata(state: &State, request: &Request) -> Reply {
    let mut answer = request.metadata();
    let one = answer.brokers[0].clone();
    let broker = |(port, id): (&i32, i32)| one.clone().with_node_id(id.into()).with_port(*port);
    answer.brokers = state.ports.iter().zip(1..).map(broker).collect();
    for topic in &mut answer.topics {
        let name = topic.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let leader = state.leaders.get(&name).copied().unwrap_or(1);
        topic.partitions[0].leader_id = leader.into();
        if state.unknown {
            topic.error_code = ResponseError::UnknownTopicOrPartition.code();
            topic.partitions.clear();
        }
    }
    request.answer(answer)
}

fn fetch(state: &Mutex<State>, broker: i32, request: &Request) -> Reply {
    let asked: FetchRequest = request.decode();
    let mut state = state.lock();
    let refuse = |code: ResponseError| request.answer(FetchResponse::default().with_error_code(code.code()));
    match state.faults.pop() {
        Some(Fault::Evict) => state.sessions.clear(),
        Some(Fault::Cut) => return Reply::Close,
        Some(Fault::Refuse(code)) => return refuse(code),
        None => {}
    }
    let named: Vec<_> = (asked.topics.iter())
        .flat_map(|topic| topic.partitions.iter().map(|part| (topic.topic.as_str().to_owned(), part.clone())))
        .collect();
    let forgotten: Vec<_> =
        asked.forgotten_topics_data.iter().map(|topic| topic.topic.as_str().to_owned()).collect();
    state.fetches.push(Fetched {
        broker,
        full: asked.session_epoch == 0,
        named: named.iter().map(|(name, part)| (name.clone(), part.fetch_offset)).collect(),
        forgotten: forgotten.clone(),
        rack: asked.rack_id.to_string(),
    });
    let id = if asked.session_epoch == 0 {
        state.next_session += 1;
        let id = state.next_session;
        state.sessions.insert(id, (1, named.into_iter().collect()));
        id
    } else {
        let Some((epoch, known)) = state.sessions.get_mut(&asked.session_id) else {
            return refuse(ResponseError::FetchSessionIdNotFound);
        };
        assert_eq!(*epoch, asked.session_epoch);
        *epoch += 1;
        known.extend(named);
        forgotten.iter().for_each(|name| assert!(known.remove(name).is_some()));
        asked.session_id
    };
    let wanted = state.sessions[&id].1.clone();
    let mut room = usize::try_from(asked.max_bytes).unwrap();
    let parts: Vec<_> = wanted
        .iter()
        .filter_map(|(name, part)| Some((name, read(&mut state, broker, name, part, &mut room)?)))
        .collect();
    let topics = parts.into_iter().map(|(name, data)| {
        let topic = TopicName(kafka_protocol::protocol::StrBytes::from_string(name.clone()));
        FetchableTopicResponse::default().with_topic(topic).with_partitions(vec![data])
    });
    let answer = FetchResponse::default().with_session_id(id).with_responses(topics.collect());
    drop(state);
    if answer.responses.is_empty() {
        // The broker waits for records.
        std::thread::sleep(Duration::from_millis(5));
    }
    request.answer(answer)
}

/// What a broker says of a partition; `None` when there is nothing to say.
fn read(
    state: &mut State,
    broker: i32,
    name: &str,
    part: &FetchPartition,
    room: &mut usize,
) -> Option<PartitionData> {
    let key = (broker, name.to_owned());
    let log = state.logs.get(name).cloned().unwrap_or_default();
    let end = log.last().map_or(0, |(next, _)| *next);
    let mut data = PartitionData::default().with_high_watermark(end).with_last_stable_offset(end);
    data.records = None;
    if let Some((code, always)) = state.errors.get(&key).copied() {
        if !always {
            state.errors.remove(&key);
        }
        return Some(data.with_error_code(code.code()));
    }
    let leader = state.leaders.get(name).copied().unwrap_or(1);
    if broker != leader && state.replica != Some(broker) {
        return Some(data.with_error_code(ResponseError::NotLeaderOrFollower.code()));
    }
    assert!([EPOCH, -1].contains(&part.last_fetched_epoch) && part.current_leader_epoch == EPOCH);
    if state.diverged {
        return Some(
            data.with_diverging_epoch(EpochEndOffset::default().with_epoch(EPOCH - 1).with_end_offset(1)),
        );
    }
    if let Some(replica) = state.replica.filter(|replica| *replica != broker) {
        return Some(data.with_preferred_read_replica(replica.into()));
    }
    let mut records = Vec::new();
    let most = usize::try_from(part.partition_max_bytes).unwrap().min(*room);
    for (_, batch) in log.iter().filter(|(next, _)| *next > part.fetch_offset) {
        if !records.is_empty() && records.len() + batch.len() > most {
            break;
        }
        records.extend_from_slice(batch);
    }
    *room = room.saturating_sub(records.len());
    (!records.is_empty()).then(|| data.with_records(Some(records.into())))
}
