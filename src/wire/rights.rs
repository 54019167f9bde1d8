//! What our credentials may do, as brokers tell it (KIP-430).

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::{ApiKey, DescribeClusterRequest};

use super::client::Wire;
use super::error::WireError;
use super::metadata;
use crate::model::TopicName;

/// The numbers of operations in the bit field.
const READ: u8 = 3;
const WRITE: u8 = 4;
const CREATE: u8 = 5;
const ALTER: u8 = 7;
const DESCRIBE: u8 = 8;
const DESCRIBE_CONFIGS: u8 = 10;
const ALTER_CONFIGS: u8 = 11;
const IDEMPOTENT_WRITE: u8 = 12;

/// First version of Metadata that tells rights (Kafka 2.3).
const METADATA_SINCE: i16 = 8;
/// Last version of Metadata that tells rights on the cluster; DescribeCluster took over (Kafka 2.8).
const METADATA_CLUSTER_UNTIL: i16 = 10;

/// What we may do with a topic; `None` where the broker doesn't tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicRights {
    /// Read records.
    pub read: Option<bool>,
    /// Write records.
    pub write: Option<bool>,
    /// See it at all.
    pub describe: Option<bool>,
    /// Create it.
    pub create: Option<bool>,
    /// Add partitions.
    pub alter: Option<bool>,
    /// Read its configuration.
    pub describe_configs: Option<bool>,
    /// Change its configuration.
    pub alter_configs: Option<bool>,
}

/// What we may do with the cluster; `None` where the brokers don't tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterRights {
    /// Create any topic.
    pub create: Option<bool>,
    /// Alter the cluster (ACLs).
    pub alter: Option<bool>,
    /// Describe the cluster (ACLs).
    pub describe: Option<bool>,
    /// Read the configuration of brokers.
    pub describe_configs: Option<bool>,
    /// Change the configuration of brokers.
    pub alter_configs: Option<bool>,
    /// Write as an idempotent producer; needed only before Kafka 2.8.
    pub idempotent_write: Option<bool>,
}

/// A bit per operation; brokers that don't tell send the smallest number there is.
fn bit(field: i32, operation: u8) -> Option<bool> {
    (field != i32::MIN).then_some(field & (1 << operation) != 0)
}

impl TopicRights {
    fn from_field(field: i32) -> Self {
        Self {
            read: bit(field, READ),
            write: bit(field, WRITE),
            describe: bit(field, DESCRIBE),
            create: bit(field, CREATE),
            alter: bit(field, ALTER),
            describe_configs: bit(field, DESCRIBE_CONFIGS),
            alter_configs: bit(field, ALTER_CONFIGS),
        }
    }
}

impl ClusterRights {
    fn from_field(field: i32) -> Self {
        Self {
            create: bit(field, CREATE),
            alter: bit(field, ALTER),
            describe: bit(field, DESCRIBE),
            describe_configs: bit(field, DESCRIBE_CONFIGS),
            alter_configs: bit(field, ALTER_CONFIGS),
            idempotent_write: bit(field, IDEMPOTENT_WRITE),
        }
    }
}

impl Wire {
    /// What we may do with each topic. All unknown on brokers before 2.3; a topic that we may not even describe is
    /// an error of its own ([`WireError::is_unauthorized`]).
    pub async fn topic_rights(
        &self,
        topics: &[TopicName],
    ) -> Result<Vec<(TopicName, Result<TopicRights, WireError>)>, WireError> {
        let build = |version, _: &_| {
            let request = metadata::request(version, Some(topics));
            request.with_include_topic_authorized_operations(version >= METADATA_SINCE)
        };
        let answer = self.call_any(build, Ok).await?;
        let found = |topic: &TopicName| {
            let named = |name: &str| name == topic.as_str();
            answer.topics.iter().find(|entry| entry.name.as_ref().is_some_and(|name| named(name.as_str())))
        };
        let rights = |topic: &TopicName| {
            let Some(entry) = found(topic) else { return Ok(TopicRights::default()) };
            match entry.error_code.err() {
                None => Ok(TopicRights::from_field(entry.topic_authorized_operations)),
                Some(code) => Err(self.refused(code, None).about(topic)),
            }
        };
        Ok(topics.iter().map(|topic| (topic.clone(), rights(topic))).collect())
    }

    /// What we may do with the cluster. All unknown on brokers that don't tell.
    pub async fn cluster_rights(&self) -> Result<ClusterRights, WireError> {
        if self.supports(ApiKey::DescribeCluster).await? {
            let build =
                |_, _: &_| DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
            let field = self.call_any(build, |answer| match answer.error_code.err() {
                None => Ok(answer.cluster_authorized_operations),
                Some(code) => Err(self.refused(code, answer.error_message.as_deref())),
            });
            return Ok(ClusterRights::from_field(field.await?));
        }
        let build = |version, _: &_| {
            let told = (METADATA_SINCE..=METADATA_CLUSTER_UNTIL).contains(&version);
            metadata::request(version, Some(&[])).with_include_cluster_authorized_operations(told)
        };
        let answer = self.call_any(build, Ok).await?;
        Ok(ClusterRights::from_field(answer.cluster_authorized_operations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_bit_by_bit() {
        let rights = TopicRights::from_field(1 << READ | 1 << DESCRIBE | 1 << ALTER_CONFIGS);
        let yes = TopicRights {
            read: Some(true),
            write: Some(false),
            describe: Some(true),
            create: Some(false),
            alter: Some(false),
            describe_configs: Some(false),
            alter_configs: Some(true),
        };
        assert_eq!(rights, yes);
    }

    #[test]
    fn a_broker_that_does_not_tell_leaves_them_unknown() {
        assert_eq!(TopicRights::from_field(i32::MIN), TopicRights::default());
        assert_eq!(ClusterRights::from_field(i32::MIN), ClusterRights::default());
        assert_eq!(ClusterRights::from_field(1 << CREATE).create, Some(true));
    }
}
