//! The positions topic of a flow: created, claimed and read at the start, tailed for other claims after.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{info, warn};

use super::internal_topics;
use super::offsets::OffsetsError;
use super::process::ProcessIdentity;
use crate::batch::Codec;
use crate::cluster::ClusterHandle;
use crate::formats::{self, Claim, Position, PositionEntry, PositionKey, positions_topic};
use crate::model::{Alias, Fault, FaultKind, FlowName, TopicName, TopicPartition};
use crate::telemetry::clock;
use crate::topology::Isolation;
use crate::wire::{FetchRange, NewRecord, OffsetSpec, ResponseError, WireError};

/// Read at a time.
const READ_BYTES: i32 = 4 * 1024 * 1024;
/// How often the tail is read for other claims. The broker holds none of these reads: fetches share a connection.
const TAIL_PAUSE: Duration = Duration::from_secs(1);

/// What the positions topic said when the flow claimed it.
#[derive(Debug)]
pub struct Loaded {
    /// Saved positions of the flow.
    pub positions: HashMap<TopicPartition, Position>,
    /// Offset of our claim.
    pub claimed_at: i64,
}

/// Where a flow keeps its positions.
#[derive(Clone)]
pub struct PositionsTopic {
    /// The target cluster.
    pub cluster: ClusterHandle,
    /// The flow.
    pub flow: FlowName,
    /// The flow's source.
    pub source: Alias,
}

impl PositionsTopic {
    /// The partition: the topic has one.
    pub fn partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic(), 0)
    }

    fn topic(&self) -> TopicName {
        positions_topic(&self.source)
    }

    /// Creates the topic where it is missing, appends our claim, and reads everything up to it.
    ///
    /// # Errors
    /// The cluster's, retriable or not; and a fault when a record can't be read.
    #[tracing::instrument(level = "debug", skip_all, fields(flow = %self.flow))]
    pub async fn claim(&self, process: &ProcessIdentity) -> Result<Loaded, LoadError> {
        internal_topics::create(self.cluster.wire(), &self.topic()).await?;
        let claimed_at = self.append_claim(self.claim_record(process, false)).await?;
        let mut loaded = Loaded { positions: HashMap::new(), claimed_at };
        let earliest =
            self.cluster.offset(&self.partition(), OffsetSpec::Earliest, Isolation::ReadUncommitted).await?;
        let mut next = earliest.offset;
        let mut before: Option<Claim> = None;
        while next <= claimed_at {
            let fetched = self.cluster.wire().fetch(&self.range(next)).await?;
            for record in fetched.records.iter().filter(|record| record.offset < claimed_at) {
                let entry =
                    formats::decode(record.key.as_deref(), record.value.as_deref()).map_err(|error| {
                        LoadError::Fault(Fault::new(
                            FaultKind::PositionStore,
                            format!(
                                "{} offset {} on {}: {error}",
                                self.topic(),
                                record.offset,
                                self.cluster.alias()
                            ),
                            "run the version of mirrormesh that wrote it, or a newer one",
                        ))
                    })?;
                match entry {
                    PositionEntry::Position(PositionKey { flow, source }, position) if flow == self.flow => {
                        match position {
                            Some(position) => loaded.positions.insert(source, position),
                            None => loaded.positions.remove(&source),
                        };
                    }
                    PositionEntry::Claim(flow, claim) if flow == self.flow => before = claim,
                    _ => {}
                }
            }
            if fetched.next_offset <= next {
                // The claim is on the partition's leader, so there is more; it is not readable yet.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            next = fetched.next_offset.max(next);
        }
        if let Some(claim) = before.filter(|claim| !claim.released && claim.process != process.id) {
            info!(
                flow = %self.flow, host = claim.host, pid = claim.pid, claimed_ms = claim.claimed_ms,
                "took the flow over from a process that did not release it"
            );
        }
        info!(flow = %self.flow, positions = loaded.positions.len(), "positions read");
        Ok(loaded)
    }

    /// Gives the flow up, so that the next process needs not wait.
    pub async fn release(&self, process: &ProcessIdentity) -> Result<(), WireError> {
        self.append_claim(self.claim_record(process, true)).await.map(drop)
    }

    /// Appends records. What a failure means does not matter: every record may be repeated.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<(), WireError> {
        internal_topics::append(self.cluster.wire(), &self.partition(), &records).await
    }

    /// Appends a claim of ours; returns its offset.
    async fn append_claim(&self, claim: NewRecord) -> Result<i64, WireError> {
        let produced = self.cluster.wire().produce(&self.partition(), &[claim], Codec::Lz4).await?;
        Ok(produced.base_offset)
    }

    /// Reads the tail until another process claims the flow; returns its claim. Cancel safe.
    pub async fn other_claim(&self, process: &ProcessIdentity, claimed_at: i64) -> Claim {
        let mut next = claimed_at + 1;
        loop {
            match self.cluster.wire().fetch(&self.range(next)).await {
                Ok(fetched) => {
                    for record in &fetched.records {
                        let entry = formats::decode(record.key.as_deref(), record.value.as_deref());
                        if let Ok(PositionEntry::Claim(flow, Some(claim))) = entry
                            && flow == self.flow
                            && claim.process != process.id
                            && !claim.released
                        {
                            return claim;
                        }
                    }
                    next = fetched.next_offset.max(next);
                }
                Err(error) => {
                    if error.code() == Some(ResponseError::OffsetOutOfRange) {
                        next = self.restart_of_tail(next).await;
                    }
                }
            }
            tokio::time::sleep(TAIL_PAUSE).await;
        }
    }

    /// Compaction does not move the end, so only a re-created topic gets here.
    async fn restart_of_tail(&self, lost: i64) -> i64 {
        warn!(flow = %self.flow, topic = %self.topic(), offset = lost, "the positions topic was reset under us");
        let partition = self.partition();
        match self.cluster.offset(&partition, OffsetSpec::Earliest, Isolation::ReadUncommitted).await {
            Ok(listed) => listed.offset,
            Err(_) => lost,
        }
    }

    fn range(&self, offset: i64) -> FetchRange {
        FetchRange {
            partition: self.partition(),
            offset,
            max_bytes: READ_BYTES,
            isolation: Isolation::ReadUncommitted,
            max_wait: Duration::ZERO,
        }
    }

    fn claim_record(&self, process: &ProcessIdentity, released: bool) -> NewRecord {
        let claim = Claim {
            process: process.id.clone(),
            host: process.host.clone(),
            pid: process.pid,
            claimed_ms: clock::now_ms(),
            released,
        };
        internal_topics::record(Claim::key(&self.flow), Some(claim.encode()))
    }

    /// A position as a record of the topic.
    pub fn position_record(&self, source: &TopicPartition, position: &Position) -> NewRecord {
        let key = PositionKey { flow: self.flow.clone(), source: source.clone() };
        internal_topics::record(key.encode(), Some(position.encode()))
    }
}

/// Why positions could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The cluster did not answer, or refused.
    Wire(WireError),
    /// A person has to act.
    Fault(Fault),
}

impl From<WireError> for LoadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<OffsetsError> for LoadError {
    fn from(error: OffsetsError) -> Self {
        match error {
            OffsetsError::Wire(error) => Self::Wire(error),
            OffsetsError::Format { .. } => Self::Fault(Fault::new(
                FaultKind::PositionStore,
                error.to_string(),
                "run the version of mirrormesh that wrote it, or a newer one",
            )),
        }
    }
}

/// The saved positions of a flow. Survives the actors, so a restarted partition goes on from what is durable.
#[derive(Debug, Default)]
pub struct PositionBook {
    positions: Mutex<HashMap<TopicPartition, Position>>,
}

impl PositionBook {
    /// The saved position of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<Position> {
        self.positions.lock().get(partition).cloned()
    }

    /// Notes a position that is durable now.
    pub fn insert(&self, partition: TopicPartition, position: Position) {
        self.positions.lock().insert(partition, position);
    }

    /// Replaces everything by what was loaded.
    pub fn replace(&self, positions: HashMap<TopicPartition, Position>) {
        *self.positions.lock() = positions;
    }
}
