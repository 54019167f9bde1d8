//! What is known of a cluster: its topics, partitions and leaders.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::status::ClusterState;
use crate::model::{ClusterId, TopicId, TopicName, TopicPartition};
use crate::topology::plan::{SourceTopic, TargetTopic};
use crate::wire::{ClusterMetadata, WireError};

/// A cluster's topics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// The id the cluster gave itself.
    pub cluster_id: Option<ClusterId>,
    /// Number of brokers.
    pub brokers: usize,
    /// Every topic that our credentials may see.
    pub topics: BTreeMap<TopicName, TopicEntry>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicEntry {
    /// Zero on brokers before 2.8.
    pub id: TopicId,
    /// Whether the broker calls it internal.
    pub internal: bool,
    /// Replicas of its first partition.
    pub replication_factor: i16,
    /// Partitions by index.
    pub partitions: Vec<PartitionEntry>,
}

impl TopicEntry {
    /// The topic as a plan wants it of the source, without its configuration.
    pub fn as_source(&self, name: &TopicName) -> SourceTopic {
        SourceTopic {
            name: name.clone(),
            partitions: self.count(),
            internal: self.internal,
            replication_factor: self.replication_factor,
            configs: Vec::new(),
        }
    }

    /// The topic as a plan wants it of the target, without its configuration.
    pub fn as_target(&self, name: &TopicName) -> TargetTopic {
        TargetTopic { name: name.clone(), partitions: self.count(), configs: Vec::new() }
    }

    fn count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEntry {
    /// Whether it has a leader now.
    pub has_leader: bool,
    /// Raised at every election; −1 when the broker does not say.
    pub leader_epoch: i32,
}

impl Catalogue {
    /// Reads the broker's answer. Topics with an error of their own are left out unless they are merely without
    /// a leader for the moment.
    pub fn from_metadata(metadata: &ClusterMetadata) -> Self {
        let topics = metadata
            .topics
            .iter()
            .filter(|topic| topic.error.is_none() || !topic.partitions.is_empty())
            .map(|topic| {
                let partitions = topic
                    .partitions
                    .iter()
                    .map(|partition| PartitionEntry {
                        has_leader: partition.leader.is_some(),
                        leader_epoch: partition.leader_epoch,
                    })
                    .collect();
                let replication_factor = topic.partitions.first().map_or(1, |p| p.replicas.len() as i16);
                let entry =
                    TopicEntry { id: topic.id, internal: topic.internal, replication_factor, partitions };
                (topic.name.clone(), entry)
            })
            .collect();
        Self { cluster_id: metadata.cluster_id.clone(), brokers: metadata.brokers.len(), topics }
    }

    /// The partition's entry, if the topic and the partition exist.
    pub fn partition(&self, partition: &TopicPartition) -> Option<PartitionEntry> {
        let index = usize::try_from(partition.partition).ok()?;
        self.topics.get(&partition.topic)?.partitions.get(index).copied()
    }

    /// The topic's id, zero when it is unknown.
    pub fn topic_id(&self, topic: &TopicName) -> TopicId {
        self.topics.get(topic).map_or_else(TopicId::default, |entry| entry.id)
    }
}

/// How a cluster is, and the newest catalogue.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// Reachable or not.
    pub state: ClusterState,
    /// Why not.
    pub reason: Option<String>,
    /// The newest catalogue, kept while the cluster is away.
    pub catalogue: Option<Arc<Catalogue>>,
}

impl ClusterView {
    /// Takes in the outcome of a refresh; true when something changed.
    pub fn take(&mut self, outcome: &Result<Arc<Catalogue>, WireError>) -> bool {
        let (state, reason) = match outcome {
            Ok(_) => (ClusterState::Reachable, None),
            Err(error) if error.is_auth_refused() => (ClusterState::Refused, Some(error.to_string())),
            Err(error) => (ClusterState::Unreachable, Some(error.to_string())),
        };
        let mut changed = self.state != state;
        self.state = state;
        self.reason = reason;
        if let Ok(catalogue) = outcome
            && self.catalogue.as_ref() != Some(catalogue)
        {
            self.catalogue = Some(catalogue.clone());
            changed = true;
        }
        changed
    }
}
