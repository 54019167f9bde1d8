//! The status board: actors write what they do, `/status`, metrics and tables read it. Nobody is called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::group_board::GroupBoard;
use super::job_board::JobBoard;
use crate::model::status::{FlowState, FlowStatus, PartitionStatus, TopicStatus};
use crate::model::{Alias, FlowName, Generation, TopicName, TopicPartition};
use crate::telemetry::clock;
use crate::topology::EngineChoice;

/// The board of one flow. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlowBoard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: FlowName,
    from: Alias,
    to: Alias,
    head: Mutex<Head>,
    partitions: Mutex<BTreeMap<TopicPartition, PartitionStatus>>,
    positions_saved_ms: AtomicI64,
    groups: GroupBoard,
    jobs: JobBoard,
}

#[derive(Debug, Default)]
struct Head {
    state: FlowState,
    reason: Option<String>,
    engine: String,
    engine_reason: String,
    session: Generation,
    topics: BTreeMap<TopicName, TopicStatus>,
}

impl FlowBoard {
    /// An empty board.
    pub fn new(name: FlowName, from: Alias, to: Alias) -> Self {
        let inner = Inner {
            name,
            from,
            to,
            head: Mutex::default(),
            partitions: Mutex::default(),
            positions_saved_ms: AtomicI64::new(-1),
            groups: GroupBoard::default(),
            jobs: JobBoard::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Writes the flow's state; `reason` says why it isn't running.
    pub fn set_state(&self, state: FlowState, reason: Option<String>) {
        let mut head = self.inner.head.lock();
        head.state = state;
        head.reason = reason;
    }

    /// Writes which engine was taken, and why.
    pub fn set_engine(&self, choice: EngineChoice, session: Generation) {
        let mut head = self.inner.head.lock();
        head.engine = choice.engine.as_str().to_owned();
        head.engine_reason = choice.reason.to_owned();
        head.session = session;
    }

    /// The board of its consumer groups.
    pub fn groups(&self) -> &GroupBoard {
        &self.inner.groups
    }

    /// The board of its jobs.
    pub fn jobs(&self) -> &JobBoard {
        &self.inner.jobs
    }

    /// Replaces the topics.
    pub fn set_topics(&self, topics: impl IntoIterator<Item = TopicStatus>) {
        self.inner.head.lock().topics = topics.into_iter().map(|t| (t.topic.clone(), t)).collect();
    }

    /// Notes that positions were saved now.
    pub fn positions_saved(&self) {
        self.inner.positions_saved_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// Puts a partition on the board.
    pub fn add(&self, partition: &TopicPartition) {
        self.inner.partitions.lock().entry(partition.clone()).or_insert_with(|| blank(partition));
    }

    /// Changes one partition's status; one that was taken off the board stays off.
    pub fn update(&self, partition: &TopicPartition, change: impl FnOnce(&mut PartitionStatus)) {
        if let Some(status) = self.inner.partitions.lock().get_mut(partition) {
            change(status);
        }
    }

    /// Takes a partition off the board.
    pub fn remove(&self, partition: &TopicPartition) {
        self.inner.partitions.lock().remove(partition);
    }

    /// A copy of everything.
    pub fn snapshot(&self) -> FlowStatus {
        let head = self.inner.head.lock();
        let saved = self.inner.positions_saved_ms.load(Ordering::Relaxed);
        FlowStatus {
            name: self.inner.name.clone(),
            from: self.inner.from.clone(),
            to: self.inner.to.clone(),
            state: head.state,
            reason: head.reason.clone(),
            engine: head.engine.clone(),
            engine_reason: head.engine_reason.clone(),
            session_generation: head.session,
            positions_age_ms: (saved >= 0).then(|| clock::now_ms() - saved),
            groups: self.inner.groups.summary(),
            jobs: self.inner.jobs.snapshot(),
            topics: head.topics.values().cloned().collect(),
            partitions: self.inner.partitions.lock().values().cloned().collect(),
        }
    }
}

fn blank(partition: &TopicPartition) -> PartitionStatus {
    PartitionStatus {
        topic: partition.topic.clone(),
        partition: partition.partition,
        state: Default::default(),
        reason: None,
        fault: None,
        retry_at_ms: None,
        generation: Generation::default(),
        source_next: None,
        target_next: None,
        source_end: None,
        lag_records: None,
        lag_ms: None,
        records: 0,
        bytes: 0,
        latency_ms: None,
        in_flight_bytes: 0,
    }
}
