//! What groups have committed: OffsetFetch.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
};

use super::CommittedOffset;
use super::coordinators::Spread;
use crate::model::groups::Committed;
use crate::model::{TopicName, TopicPartition};
use crate::wire::call::Call;
use crate::wire::client::Wire;
use crate::wire::connection::Connection;
use crate::wire::error::{WireError, WireErrorKind};
use crate::wire::names::text;

/// First version of OffsetFetch that takes many groups (KIP-709, Kafka 3.0).
const MANY_GROUPS_SINCE: i16 = 8;
/// First version of OffsetFetch that tells of commits in open transactions (KIP-447, Kafka 2.5).
const STABLE_SINCE: i16 = 7;
/// Groups asked about in one request: with 10,000 offsets each, of 60 bytes, their answer is still one that we read.
const SPREAD: Spread = Spread { groups_per_request: 200, lanes: 0 };

type Offsets = Result<Vec<CommittedOffset>, WireError>;

impl Wire {
    /// Reads all that each group has committed: one request per coordinator and 200 groups (before Kafka 3.0, per group).
    ///
    /// Each group has its own failure. Partitions without an offset are left out, and so are (by the broker, without a
    /// word) those of topics that our credentials may not describe; a group that doesn't exist has committed nothing.
    /// With `require_stable`, a partition for which a transaction has committed another offset and is not over yet is
    /// an error of its own ([`WireError::is_unstable_offset`]); brokers before 2.5 answer the earlier offset instead.
    /// Cancel safe.
    pub async fn committed_offsets(
        &self,
        groups: &[String],
        require_stable: bool,
    ) -> HashMap<String, Result<Vec<CommittedOffset>, WireError>> {
        let once: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
        let groups: Vec<&str> = once.into_iter().collect();
        let ask = async |connection: std::sync::Arc<Connection>, asked: Vec<usize>, left| {
            let names: Vec<&str> = asked.iter().map(|index| groups[*index]).collect();
            let version = connection.version::<OffsetFetchRequest>()?;
            let stable = require_stable && version >= STABLE_SINCE;
            if version >= MANY_GROUPS_SINCE {
                return self.fetch_many(&connection, version, &names, stable, left).await;
            }
            let each = names.iter().map(|group| self.fetch_one(&connection, version, group, stable, left));
            Ok(join_all(each).await)
        };
        let answers = self.by_coordinator(&groups, SPREAD, ask, |_| true).await;
        groups.iter().map(|group| (*group).to_owned()).zip(answers).collect()
    }

    async fn fetch_many(
        &self,
        connection: &Connection,
        version: i16,
        groups: &[&str],
        require_stable: bool,
        left: Duration,
    ) -> Result<Vec<Offsets>, WireError> {
        let asked = groups.iter().map(|group| {
            OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(None)
        });
        let request =
            OffsetFetchRequest::default().with_groups(asked.collect()).with_require_stable(require_stable);
        let answer = connection.call_in(version, left, request).await?;
        let mut found: HashMap<String, Offsets> = answer
            .groups
            .into_iter()
            .map(|group| (group.group_id.to_string(), self.read_group(connection, &group)))
            .collect();
        let missing = |group: &str| {
            let detail = format!("the answer leaves out group `{group}`");
            connection.error(WireErrorKind::Protocol(detail)).during(OffsetFetchRequest::NAME)
        };
        let answers = groups.iter().map(|group| found.remove(*group).unwrap_or_else(|| Err(missing(group))));
        Ok(answers.collect())
    }

    async fn fetch_one(
        &self,
        connection: &Connection,
        version: i16,
        group: &str,
        require_stable: bool,
        left: Duration,
    ) -> Offsets {
        let request = OffsetFetchRequest::default()
            .with_group_id(text(group).into())
            .with_topics(None)
            .with_require_stable(require_stable);
        let answer = connection.call_in(version, left, request).await?;
        self.refuse(connection, answer.error_code)?;
        let offsets = answer.topics.iter().flat_map(|topic| {
            let name = TopicName::new(topic.name.as_str());
            topic
                .partitions
                .iter()
                .filter_map(move |partition| self.read_offset(connection, &name, &in_many(partition)))
        });
        Ok(offsets.collect())
    }

    fn read_group(&self, connection: &Connection, group: &OffsetFetchResponseGroup) -> Offsets {
        self.refuse(connection, group.error_code)?;
        let offsets = group.topics.iter().flat_map(|topic| {
            let name = TopicName::new(topic.name.as_str());
            topic
                .partitions
                .iter()
                .filter_map(move |partition| self.read_offset(connection, &name, partition))
        });
        Ok(offsets.collect())
    }

    /// `None` where nothing was committed.
    fn read_offset(
        &self,
        connection: &Connection,
        topic: &TopicName,
        answer: &OffsetFetchResponsePartitions,
    ) -> Option<CommittedOffset> {
        let partition = TopicPartition::new(topic.clone(), answer.partition_index);
        let committed = match self.refuse(connection, answer.error_code) {
            Err(error) => Err(error.about(&partition)),
            Ok(()) if answer.committed_offset < 0 => return None,
            Ok(()) => Ok(Committed {
                offset: answer.committed_offset,
                leader_epoch: answer.committed_leader_epoch,
                metadata: answer.metadata.as_ref().map(|text| text.to_string()).unwrap_or_default(),
            }),
        };
        Some(CommittedOffset { partition, committed })
    }

    fn refuse(&self, connection: &Connection, code: i16) -> Result<(), WireError> {
        match code.err() {
            None => Ok(()),
            Some(code) => {
                Err(self.refused(code, None).at(connection.broker()).during(OffsetFetchRequest::NAME))
            }
        }
    }
}

/// The answer about one group has the same entries under another name.
fn in_many(partition: &OffsetFetchResponsePartition) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_metadata(partition.metadata.clone())
        .with_error_code(partition.error_code)
}
