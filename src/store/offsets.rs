//! The offsets topic of a source: maps and group syncs, appended by one flow and read as a whole.

use thiserror::Error;

use super::internal_topics;
use super::loaded::{Collector, LoadedOffsets};
use crate::cluster::ClusterHandle;
use crate::formats::{FormatError, GroupSync, GroupSyncKey, MapKey, offsets_topic};
use crate::model::{Alias, FlowName, TopicName, TopicPartition};
use crate::offsets::ChunkChange;
use crate::wire::{NewRecord, Wire, WireError};

/// Why the offsets topic can't be read.
#[derive(Debug, Error)]
pub enum OffsetsError {
    /// The cluster did not answer, or refused.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A newer program wrote it.
    #[error("{topic} on {cluster}: {source}")]
    Format {
        /// The topic.
        topic: TopicName,
        /// The cluster.
        cluster: Alias,
        /// What is wrong.
        source: FormatError,
    },
}

/// Where a flow keeps its offset maps and what group sync wrote.
#[derive(Clone)]
pub struct OffsetsTopic {
    /// The target cluster.
    pub cluster: ClusterHandle,
    /// The flow.
    pub flow: FlowName,
    /// The flow's source.
    pub source: Alias,
}

impl OffsetsTopic {
    /// Reads all that `flow` stored, from the topic's start to where it ends now. A topic that is missing says nothing.
    ///
    /// `wire` is a connection to the flow's target; neither its source nor a running mesh is needed. Cancel safe.
    pub async fn load(wire: &Wire, source: &Alias, flow: &FlowName) -> Result<LoadedOffsets, OffsetsError> {
        let partition = TopicPartition::new(offsets_topic(source), 0);
        let format = |source| OffsetsError::Format {
            topic: partition.topic.clone(),
            cluster: wire.alias().clone(),
            source,
        };
        let mut collector = Collector::new(flow);
        internal_topics::read_all(wire, &partition, |record| {
            collector.take(record.offset, record.key.as_deref(), record.value.as_deref()).map_err(format)
        })
        .await?;
        collector.finish().map_err(format)
    }

    /// The partition: the topic has one.
    pub fn partition(&self) -> TopicPartition {
        TopicPartition::new(offsets_topic(&self.source), 0)
    }

    /// Creates the topic where it is missing.
    pub async fn create(&self) -> Result<(), WireError> {
        internal_topics::create(self.cluster.wire(), &offsets_topic(&self.source)).await
    }

    /// Appends records, in as few requests as the brokers' limit allows. What a failure means does not matter: every
    /// record may be repeated.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<(), WireError> {
        internal_topics::append(self.cluster.wire(), &self.partition(), &records).await
    }

    /// Removes what was stored of maps that can't be read, so that others can be stored in their place.
    pub async fn remove_damaged(&self, loaded: &LoadedOffsets) -> Result<(), WireError> {
        let removals = loaded.damaged.iter().flat_map(|(source, damaged)| {
            let changes = damaged.chunks.iter().map(|chunk| ChunkChange::Remove { chunk: *chunk });
            self.map_records(source, changes.collect())
        });
        self.append(removals.collect()).await
    }

    /// Changes of a map as records of the topic.
    pub fn map_records(&self, source: &TopicPartition, changes: Vec<ChunkChange>) -> Vec<NewRecord> {
        let record = |change| {
            let (chunk, value) = match change {
                ChunkChange::Write { chunk, value } => (chunk, Some(value)),
                ChunkChange::Remove { chunk } => (chunk, None),
            };
            let key = MapKey { flow: self.flow.clone(), source: source.clone(), chunk };
            internal_topics::record(key.encode(), value)
        };
        changes.into_iter().map(record).collect()
    }

    /// What group sync wrote as a record of the topic; `None` removes it.
    pub fn group_record(&self, key: &GroupSyncKey, sync: Option<&GroupSync>) -> NewRecord {
        internal_topics::record(key.encode(), sync.map(GroupSync::encode))
    }
}
