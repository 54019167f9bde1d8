//! Metadata: brokers, controller, topics, who leads which partition.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};

use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::kafka_topic;
use super::view::Leader;
use crate::model::{Alias, ClusterId, TopicId, TopicName, TopicPartition};

/// A cluster, as one of its brokers sees it.
#[derive(Clone, Debug)]
pub struct ClusterMetadata {
    /// The id the cluster gave itself.
    pub cluster_id: Option<ClusterId>,
    /// The controller, or (KRaft) a broker that forwards to it.
    pub controller: Option<i32>,
    /// Brokers that are up.
    pub brokers: Vec<BrokerInfo>,
    /// The topics asked for, or all that our credentials may see.
    pub topics: Vec<TopicMetadata>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its id.
    pub id: i32,
    /// Host it advertises.
    pub host: String,
    /// Port it advertises.
    pub port: u16,
    /// Where it stands.
    pub rack: Option<String>,
}

/// One topic.
#[derive(Clone, Debug)]
pub struct TopicMetadata {
    /// Its name.
    pub name: TopicName,
    /// Its id; zero from brokers before 2.8.
    pub id: TopicId,
    /// Whether Kafka itself owns it (`__consumer_offsets`).
    pub internal: bool,
    /// Why nothing is known of it: missing, or not ours to see.
    pub error: Option<WireError>,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionMetadata>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct PartitionMetadata {
    /// Its index, from 0.
    pub index: i32,
    /// The leading broker.
    pub leader: Option<i32>,
    /// Under which epoch it leads; −1 from brokers before 2.1.
    pub leader_epoch: i32,
    /// Brokers that hold a copy.
    pub replicas: Vec<i32>,
    /// Brokers whose copy is complete.
    pub isr: Vec<i32>,
    /// What is wrong with it: usually that it has no leader.
    pub error: Option<WireError>,
}

impl ClusterMetadata {
    /// The partition's leader; fails with what the metadata says instead, settled where it doesn't exist.
    pub(super) fn leader_of(&self, alias: &Alias, partition: &TopicPartition) -> Result<Leader, WireError> {
        let unknown = || WireError::refused(alias, ResponseError::UnknownTopicOrPartition, None).settle();
        let topic = self.topics.iter().find(|topic| topic.name == partition.topic).ok_or_else(unknown)?;
        if let Some(error) = &topic.error {
            return Err(if error.is_unknown_topic() { error.clone().settle() } else { error.clone() });
        }
        let found = topic.partitions.iter().find(|known| known.index == partition.partition);
        let found = found.ok_or_else(unknown)?;
        match found.leader {
            Some(broker) => Ok(Leader { broker, epoch: found.leader_epoch }),
            None => Err(WireError::refused(alias, ResponseError::LeaderNotAvailable, None)),
        }
    }
}

impl Wire {
    /// Asks for all topics (`None`) or the named ones, and learns who leads them. Creates nothing.
    ///
    /// A topic that is missing or hidden from us carries its error; the call itself fails only if no broker
    /// answers. An empty list asks for brokers and controller only.
    pub async fn metadata(&self, topics: Option<&[TopicName]>) -> Result<ClusterMetadata, WireError> {
        let metadata =
            self.call_any(|version, _| request(version, topics), |answer| self.read_metadata(answer)).await?;
        self.view().write().update(&metadata, topics.is_none());
        Ok(metadata)
    }

    fn read_metadata(&self, answer: MetadataResponse) -> Result<ClusterMetadata, WireError> {
        let brokers: Result<Vec<_>, _> = answer
            .brokers
            .iter()
            .map(|broker| {
                let port = u16::try_from(broker.port).map_err(|_| {
                    self.error(WireErrorKind::Protocol(format!("broker port {}", broker.port)))
                })?;
                let rack = broker.rack.as_ref().map(|rack| rack.to_string());
                Ok(BrokerInfo { id: broker.node_id.0, host: broker.host.to_string(), port, rack })
            })
            .collect();
        Ok(ClusterMetadata {
            cluster_id: answer.cluster_id.map(|id| ClusterId::new(id.as_str())),
            controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
            brokers: brokers?,
            topics: answer.topics.iter().filter_map(|topic| self.read_topic(topic)).collect(),
        })
    }

    /// `None` for an answer without a name: only a question by id gets one.
    fn read_topic(&self, topic: &MetadataResponseTopic) -> Option<TopicMetadata> {
        let name = TopicName::new(topic.name.as_ref()?.as_str());
        let error = topic.error_code.err().map(|code| self.refused(code, None).about(&name));
        let mut partitions: Vec<_> =
            topic.partitions.iter().map(|partition| self.read_partition(&name, partition)).collect();
        partitions.sort_unstable_by_key(|partition| partition.index);
        Some(TopicMetadata {
            name,
            id: TopicId(topic.topic_id),
            internal: topic.is_internal,
            error,
            partitions,
        })
    }

    fn read_partition(&self, topic: &TopicName, partition: &MetadataResponsePartition) -> PartitionMetadata {
        let index = partition.partition_index;
        let error = partition
            .error_code
            .err()
            .map(|code| self.refused(code, None).about(TopicPartition::new(topic.clone(), index)));
        PartitionMetadata {
            index,
            leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.iter().map(|id| id.0).collect(),
            isr: partition.isr_nodes.iter().map(|id| id.0).collect(),
            error,
        }
    }
}

/// A request that never creates a topic.
pub(super) fn request(version: i16, topics: Option<&[TopicName]>) -> MetadataRequest {
    let topics = topics.map(|topics| {
        let named = |topic| MetadataRequestTopic::default().with_name(Some(kafka_topic(topic)));
        topics.iter().map(named).collect()
    });
    debug_assert!(version >= 4, "before version 4 the broker decides about creation");
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
}
