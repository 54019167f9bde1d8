//! What the brokers of a cluster share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, BrokerId};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::controls::Fault;
use super::groups::Group;
use super::rights::Denied;
use super::sessions::Sessions;
use super::topics::{Partition, Topic};

/// A code, and what is said with it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: ResponseError,
    pub(super) message: Option<String>,
}

/// A broker.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) address: SocketAddr,
    pub(super) rack: Option<String>,
    pub(super) is_up: bool,
    pub(super) sessions: Sessions,
}

/// What the brokers share.
pub(super) struct State {
    pub(super) cluster_id: String,
    pub(super) brokers: Vec<Broker>,
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) denied: Denied,
    pub(super) faults: Vec<Fault>,
    /// How long callers of an API are asked to keep quiet.
    pub(super) throttles: BTreeMap<i16, i32>,
    /// Whether the leader sends consumers to a replica in their rack (KIP-392).
    pub(super) serves_racks: bool,
    pub(super) auto_create: bool,
    pub(super) partitions_unless_said: i32,
    pub(super) producers_made: i64,
}

impl Refusal {
    pub(super) fn new(code: ResponseError, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }
}

impl From<ResponseError> for Refusal {
    fn from(code: ResponseError) -> Self {
        Self { code, message: None }
    }
}

impl State {
    /// Brokers that are up.
    pub(super) fn up(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().filter(|broker| broker.is_up)
    }

    pub(super) fn is_up(&self, id: i32) -> bool {
        self.up().any(|broker| broker.id == id)
    }

    pub(super) fn broker(&mut self, id: i32) -> &mut Broker {
        self.brokers.iter_mut().find(|broker| broker.id == id).expect("the broker exists")
    }

    /// Copies of each partition unless said otherwise (`default.replication.factor`).
    pub(super) fn default_replicas(&self) -> usize {
        self.brokers.len().min(3)
    }

    /// The broker that answers for the controller.
    pub(super) fn controller(&self) -> i32 {
        self.up().map(|broker| broker.id).min().unwrap_or(-1)
    }

    /// The broker that coordinates a group.
    pub(super) fn coordinator(&self, group: &str) -> Option<&Broker> {
        let sum = group.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let up: Vec<&Broker> = self.up().collect();
        (!up.is_empty()).then(|| up[sum % up.len()])
    }

    /// What a test wants a broker to answer of a topic or group.
    pub(super) fn fault(&mut self, broker: i32, api: ApiKey, name: &str) -> Option<ResponseError> {
        let at = self.faults.iter().position(|fault| fault.strikes(broker, api, name))?;
        let code = self.faults[at].code();
        if self.faults[at].is_used_up() {
            self.faults.remove(at);
        }
        Some(code)
    }

    pub(super) fn throttle_ms(&self, api: ApiKey) -> i32 {
        self.throttles.get(&(api as i16)).copied().unwrap_or(0)
    }

    pub(super) fn topic(&self, name: &str) -> Result<&Topic, ResponseError> {
        self.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// The name of the topic with an id.
    pub(super) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.as_str())
    }

    /// A partition, on whichever broker.
    pub(super) fn partition(&mut self, topic: &str, index: i32) -> Result<&mut Partition, ResponseError> {
        let topic = self.topics.get_mut(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let index = usize::try_from(index).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        topic.partitions.get_mut(index).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// A partition at a broker that holds it; at its leader, where only that may answer.
    pub(super) fn held(
        &mut self,
        broker: i32,
        (topic, index): (&str, i32),
        epoch: i32,
        only_leader: bool,
    ) -> Result<&mut Partition, ResponseError> {
        let partition = self.partition(topic, index)?;
        if !partition.replicas.contains(&broker) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        partition.check_epoch(epoch)?;
        if only_leader && partition.leader != Some(broker) {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        Ok(partition)
    }

    /// Adds a topic; replicas go round the brokers that are up.
    pub(super) fn add_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replicas: usize,
        configs: BTreeMap<String, String>,
    ) {
        let mut topic = Topic { id: Uuid::new_v4(), partitions: Vec::new(), configs };
        self.grow(&mut topic, partitions, replicas);
        self.topics.insert(name.to_owned(), topic);
    }

    /// Gives a topic more partitions.
    pub(super) fn grow(&self, topic: &mut Topic, total: i32, replicas: usize) {
        let up: Vec<i32> = self.up().map(|broker| broker.id).collect();
        for index in topic.partitions.len()..usize::try_from(total).expect("it was checked") {
            let mut ids = up.clone();
            ids.rotate_left(index % up.len());
            ids.truncate(replicas);
            topic.partitions.push(Partition::new(ids));
        }
    }

    /// Removes a topic, and what groups committed for it.
    pub(super) fn remove_topic(&mut self, name: &str) -> Option<Topic> {
        for group in self.groups.values_mut() {
            group.commits.retain(|(topic, _), _| topic != name);
        }
        self.topics.remove(name)
    }
}

/// Text as the protocol has it.
pub(super) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// Ids as the protocol has them.
pub(super) fn broker_ids(ids: impl IntoIterator<Item = i32>) -> Vec<BrokerId> {
    ids.into_iter().map(BrokerId).collect()
}

/// Now, in milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_millis()).expect("it is before the year 292,000,000")
}
