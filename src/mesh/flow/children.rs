//! The partitions of a flow: which there are, what they know, and their restarts.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use ractor::{ActorId, ActorRef};

use crate::mesh::shared::PartitionMsg;
use crate::mesh::shared::supervise::Backoff;
use crate::model::{TopicId, TopicName, TopicPartition};

/// What a partition was last told of its two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Id of the source topic.
    pub source_id: TopicId,
    /// Leader epoch on the source.
    pub source_epoch: i32,
    /// Id of the target topic.
    pub target_id: TopicId,
    /// Leader epoch on the target.
    pub target_epoch: i32,
}

/// One partition.
pub struct Child {
    /// Its actor, while it lives.
    pub actor: Option<ActorRef<PartitionMsg>>,
    /// On the target.
    pub target: TopicPartition,
    /// Whether the topic appeared while the flow ran.
    pub appeared: bool,
    /// What it was last told.
    pub sides: Sides,
    /// The last end it was told.
    pub end: Option<i64>,
    started: Instant,
    backoff: Backoff,
}

/// The partitions of a flow.
#[derive(Default)]
pub struct Children {
    all: BTreeMap<TopicPartition, Child>,
    by_actor: HashMap<ActorId, TopicPartition>,
}

impl Children {
    /// Takes in a partition that has no actor yet.
    pub fn add(&mut self, source: TopicPartition, target: TopicPartition, appeared: bool, sides: Sides) {
        let child = Child {
            actor: None,
            target,
            appeared,
            sides,
            end: None,
            started: Instant::now(),
            backoff: Backoff::default(),
        };
        self.all.insert(source, child);
    }

    /// Notes a started actor.
    pub fn started(&mut self, source: &TopicPartition, actor: ActorRef<PartitionMsg>) {
        if let Some(child) = self.all.get_mut(source) {
            self.by_actor.insert(actor.get_id(), source.clone());
            child.started = Instant::now();
            child.end = None;
            child.actor = Some(actor);
        }
    }

    /// Notes that an actor ended; returns whose it was.
    pub fn ended(&mut self, actor: ActorId) -> Option<TopicPartition> {
        let source = self.by_actor.remove(&actor)?;
        if let Some(child) = self.all.get_mut(&source) {
            child.actor = None;
        }
        Some(source)
    }

    /// How long to wait before the partition is started again. A life of more than a minute counts as success.
    pub fn pause(&mut self, source: &TopicPartition) -> std::time::Duration {
        match self.all.get_mut(source) {
            Some(child) => {
                if child.started.elapsed() > std::time::Duration::from_secs(60) {
                    child.backoff.reset();
                }
                child.backoff.next_pause()
            }
            None => std::time::Duration::ZERO,
        }
    }

    /// The partition, if it is there.
    pub fn get_mut(&mut self, source: &TopicPartition) -> Option<&mut Child> {
        self.all.get_mut(source)
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TopicPartition, &mut Child)> {
        self.all.iter_mut()
    }

    /// Whether the partition is there.
    pub fn contains(&self, source: &TopicPartition) -> bool {
        self.all.contains_key(source)
    }

    /// Partitions of a topic.
    pub fn of_topic(&self, topic: &TopicName) -> Vec<TopicPartition> {
        self.all.keys().filter(|source| source.topic == *topic).cloned().collect()
    }

    /// Topics that have partitions here.
    pub fn topics(&self) -> std::collections::BTreeSet<TopicName> {
        self.all.keys().map(|source| source.topic.clone()).collect()
    }

    /// Forgets a partition; a living actor must have been told to stop.
    pub fn remove(&mut self, source: &TopicPartition) -> Option<ActorRef<PartitionMsg>> {
        self.all.remove(source)?.actor
    }

    /// Living actors.
    pub fn alive(&self) -> impl Iterator<Item = &ActorRef<PartitionMsg>> {
        self.all.values().filter_map(|child| child.actor.as_ref())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
}
