//! What is known of a cluster: its brokers, its controller, who leads which partition and coordinates which group.

use std::collections::HashMap;

use super::dial::Address;
use super::metadata::ClusterMetadata;
use crate::model::{TopicName, TopicPartition};

/// The leader of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The broker's id.
    pub broker: i32,
    /// Under which epoch it leads; −1 from brokers before 2.1.
    pub epoch: i32,
}

/// The newest answer of Metadata, as far as routing needs it.
#[derive(Debug, Default)]
pub(super) struct RoutingView {
    brokers: HashMap<i32, Address>,
    controller: Option<i32>,
    leaders: HashMap<TopicName, HashMap<i32, Leader>>,
    coordinators: HashMap<String, i32>,
}

/// How many groups' coordinators are remembered: beyond it all are forgotten, and asked again where they are needed.
/// Groups that are gone stay until then; 100,000 names are some 10 MB.
const MOST_COORDINATORS: usize = 100_000;

impl RoutingView {
    /// Takes over an answer; `all` when it covers every topic, so that others are gone.
    pub(super) fn update(&mut self, metadata: &ClusterMetadata, all: bool) {
        self.brokers = metadata
            .brokers
            .iter()
            .map(|broker| (broker.id, Address { host: broker.host.clone(), port: broker.port }))
            .collect();
        self.controller = metadata.controller;
        if all {
            self.leaders.clear();
        }
        for topic in &metadata.topics {
            let leaders: HashMap<_, _> = topic
                .partitions
                .iter()
                .filter_map(|partition| {
                    let broker = partition.leader?;
                    Some((partition.index, Leader { broker, epoch: partition.leader_epoch }))
                })
                .collect();
            match leaders.is_empty() {
                true => self.leaders.remove(&topic.name),
                false => self.leaders.insert(topic.name.clone(), leaders),
            };
        }
    }

    /// The partition's leader, if one is known.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.leaders.get(&partition.topic)?.get(&partition.partition).copied()
    }

    /// Forgets who leads a topic: it is to be asked again.
    pub(super) fn forget(&mut self, topic: &TopicName) {
        self.leaders.remove(topic);
    }

    /// Forgets the controller: it is to be asked again.
    pub(super) fn forget_controller(&mut self) {
        self.controller = None;
    }

    /// The controller, or the broker that stands in for it.
    pub(super) fn controller(&self) -> Option<i32> {
        self.controller
    }

    /// Where a broker listens.
    pub(super) fn address(&self, broker: i32) -> Option<Address> {
        self.brokers.get(&broker).cloned()
    }

    /// Forgets where a broker listens: it is to be asked again.
    pub(super) fn forget_address(&mut self, broker: i32) {
        self.brokers.remove(&broker);
    }

    /// Notes where a broker listens.
    pub(super) fn learn_address(&mut self, broker: i32, address: Address) {
        self.brokers.insert(broker, address);
    }

    /// The broker that coordinates a group, if one is known.
    pub(super) fn coordinator(&self, group: &str) -> Option<i32> {
        self.coordinators.get(group).copied()
    }

    /// Notes which broker coordinates a group.
    pub(super) fn learn_coordinator(&mut self, group: &str, broker: i32) {
        if let Some(known) = self.coordinators.get_mut(group) {
            *known = broker;
            return;
        }
        if self.coordinators.len() >= MOST_COORDINATORS {
            self.coordinators.clear();
        }
        self.coordinators.insert(group.to_owned(), broker);
    }

    /// Forgets who coordinates a group: it is to be asked again.
    pub(super) fn forget_coordinator(&mut self, group: &str) {
        self.coordinators.remove(group);
    }

    /// Where brokers listen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.brokers.values()
    }
}
