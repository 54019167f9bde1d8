//! The positions topic of a flow: created, claimed and read at the start, tailed for other claims after.

use std::pin::Pin;
use std::time::Duration;

use tracing::{info, warn};

use super::claims::{ClaimReader, ClaimedPositions, InTail, in_tail};
use super::internal_topics;
use super::offsets::OffsetsError;
use super::process::ProcessIdentity;
use crate::cluster::ClusterHandle;
use crate::formats::{self, Claim, ClaimScope, FormatError, Position, PositionKey, Token, positions_topic};
use crate::model::{Alias, Codec, Fault, FaultKind, FlowName, TopicName, TopicPartition};
use crate::telemetry::clock;
use crate::topology::Isolation;
use crate::wire::{FetchRange, OffsetSpec, WireError};

/// Read at a time.
const READ_BYTES: i32 = 4 * 1024 * 1024;
/// How often the tail is read for other claims. The broker holds none of these reads: fetches share a connection.
const TAIL_PAUSE: Duration = Duration::from_secs(1);

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

    /// Creates the topic where it is missing, claims `scope`, and reads everything up to the claim.
    ///
    /// The claim's offset is the token that [`PositionsTopic::write`] asks for.
    ///
    /// # Errors
    /// The cluster's, retriable or not; and a fault when a record can't be read.
    #[tracing::instrument(target = "mirrormesh::store", level = "debug", skip_all, fields(flow = %self.flow))]
    pub async fn claim(
        &self,
        scope: &ClaimScope,
        process: &ProcessIdentity,
    ) -> Result<ClaimedPositions, LoadError> {
        internal_topics::create(self.cluster.wire(), &self.topic()).await?;
        let token = self.append_claim(scope, process, false).await?;
        let mut reader = ClaimReader::new(scope.clone(), self.flow.clone());
        let earliest =
            self.cluster.offset(&self.partition(), OffsetSpec::Earliest, Isolation::ReadUncommitted).await?;
        let mut next = earliest.offset;
        while next <= token.0 {
            let fetched = self.cluster.wire().fetch(&self.range(next)).await?;
            for record in fetched.records.iter().filter(|record| record.offset < token.0) {
                let entry = formats::decode(record.key.as_deref(), record.value.as_deref());
                reader.take(record.offset, entry.map_err(|error| self.unreadable(record.offset, &error))?);
            }
            if fetched.next_offset <= next {
                // The claim is on the partition's leader, so there is more; it is not readable yet.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            next = fetched.next_offset.max(next);
        }
        let loaded = reader.finish(token);
        if let Some(claim) = loaded.before.as_ref().filter(|claim| claim.process != process.id) {
            info!(
                target: crate::store::LOG,
                flow = %self.flow, host = claim.host, pid = claim.pid, claimed_ms = claim.claimed_ms,
                "took the flow over from a process that did not release it"
            );
        }
        info!(
            target: crate::store::LOG,
            flow = %self.flow, positions = loaded.positions.len(), overwritten = loaded.overwritten.len(),
            "positions read"
        );
        Ok(loaded)
    }

    fn unreadable(&self, offset: i64, error: &FormatError) -> LoadError {
        LoadError::Fault(Fault::new(
            FaultKind::PositionStore,
            format!("{} offset {offset} on {}: {error}", self.topic(), self.cluster.alias()),
            "run the version of mirrormesh that wrote it, or a newer one",
        ))
    }

    /// Gives `scope` up, so that the next process needs not wait.
    pub async fn release(&self, scope: &ClaimScope, process: &ProcessIdentity) -> Result<(), WireError> {
        self.append_claim(scope, process, true).await.map(drop)
    }

    /// Appends positions under the token of our claim. What a failure means does not matter: every position may be
    /// repeated. They are made into records at once, and sent when the future is polled.
    ///
    /// A broker takes them whoever has claimed the scope meanwhile; who reads them then ignores them.
    pub fn write<'a>(
        &self,
        token: Token,
        positions: impl Iterator<Item = (&'a TopicPartition, &'a Position)>,
    ) -> Pin<Box<dyn Future<Output = Result<(), WireError>> + Send>> {
        let record = |(source, position): (&TopicPartition, &Position)| {
            let key = PositionKey { flow: self.flow.clone(), source: source.clone() };
            internal_topics::record(key.encode(), Some(position.encode(Some(token))))
        };
        let records: Vec<_> = positions.map(record).collect();
        let (cluster, partition) = (self.cluster.clone(), self.partition());
        Box::pin(async move { internal_topics::append(cluster.wire(), &partition, &records).await })
    }

    /// Appends a claim of ours; its offset is the token.
    async fn append_claim(
        &self,
        scope: &ClaimScope,
        process: &ProcessIdentity,
        released: bool,
    ) -> Result<Token, WireError> {
        let claim = Claim {
            process: process.id.clone(),
            host: process.host.clone(),
            pid: process.pid,
            claimed_ms: clock::now_ms(),
            released,
        };
        let record = internal_topics::record(scope.key(), Some(claim.encode()));
        let produced = self.cluster.wire().produce(&self.partition(), &[record], Codec::Lz4).await?;
        Ok(Token(produced.base_offset))
    }

    /// Reads the tail until another process claims `scope`; returns its claim. `overwritten` is told of each position
    /// that a process whose claim is older wrote late, over ours if there is one. Cancel safe.
    pub async fn other_claim(
        &self,
        scope: &ClaimScope,
        process: &ProcessIdentity,
        token: Token,
        mut overwritten: impl FnMut(TopicPartition, Position) + Send,
    ) -> Claim {
        let mut next = token.0 + 1;
        loop {
            match self.cluster.wire().fetch(&self.range(next)).await {
                Ok(fetched) => {
                    for record in &fetched.records {
                        // One that can't be read is told by the next start.
                        let Ok(entry) = formats::decode(record.key.as_deref(), record.value.as_deref())
                        else {
                            continue;
                        };
                        match in_tail(entry, scope, &self.flow, process, token) {
                            Some(InTail::Claimed(claim)) => return claim,
                            Some(InTail::Overwritten(partition, position)) => {
                                warn!(
                                    target: crate::store::LOG,
                                    flow = %self.flow, topic = %partition.topic,
                                    partition = partition.partition, offset = record.offset,
                                    "a process that has lost the flow wrote a position; it counts only where we have none"
                                );
                                overwritten(partition, position);
                            }
                            None => {}
                        }
                    }
                    next = fetched.next_offset.max(next);
                }
                Err(error) => {
                    if error.is_offset_out_of_range() {
                        next = self.restart_of_tail(next).await;
                    }
                }
            }
            tokio::time::sleep(TAIL_PAUSE).await;
        }
    }

    /// Compaction does not move the end, so only a re-created topic gets here.
    async fn restart_of_tail(&self, lost: i64) -> i64 {
        warn!(target: crate::store::LOG, flow = %self.flow, topic = %self.topic(), offset = lost, "the positions topic was reset under us");
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
