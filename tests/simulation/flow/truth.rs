//! What is outside of the processes: two clusters, and what is kept on the target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mirrormesh::model::status::{ClusterState, TopicStatus};
use mirrormesh::model::{ClusterId, Fault, FaultKind, TopicId, TopicName, TopicPartition};
use mirrormesh::replicator::flow::{ClusterFacts, FlowCatalogue, ReadyTopic, Reconciliation, SourceEnds};
use uuid::Uuid;

/// Topics of the source that the flow selects.
const SELECTED: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    id: u128,
    /// Leader epochs by partition.
    epochs: Vec<i32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics(BTreeMap<TopicName, Topic>);

impl FlowCatalogue for Topics {
    fn topics(&self) -> BTreeSet<TopicName> {
        self.0.keys().cloned().collect()
    }

    fn has_topic(&self, topic: &TopicName) -> bool {
        self.0.contains_key(topic)
    }

    fn topic_id(&self, topic: &TopicName) -> TopicId {
        self.0.get(topic).map_or_else(TopicId::default, |topic| TopicId(Uuid::from_u128(topic.id)))
    }

    fn leader_epoch(&self, partition: &TopicPartition) -> Option<i32> {
        let index = usize::try_from(partition.partition).ok()?;
        self.0.get(&partition.topic)?.epochs.get(index).copied()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ends(BTreeMap<TopicPartition, i64>);

impl SourceEnds for Ends {
    fn end(&self, source: &TopicPartition) -> Option<i64> {
        self.0.get(source).copied()
    }
}

pub struct Cluster {
    id: &'static str,
    pub there: bool,
    topics: Topics,
    seen: Arc<Topics>,
}

impl Cluster {
    fn new(id: &'static str) -> Self {
        Self { id, there: true, topics: Topics::default(), seen: Arc::default() }
    }

    /// As a look finds it, `before` being what the last one found.
    pub fn look(&mut self, before: &ClusterFacts) -> ClusterFacts {
        if !self.there {
            let reason = Some("connection refused".to_owned());
            return ClusterFacts { state: ClusterState::Unreachable, reason, ..before.clone() };
        }
        if *self.seen != self.topics {
            self.seen = Arc::new(self.topics.clone());
        }
        ClusterFacts {
            state: ClusterState::Reachable,
            reason: None,
            cluster_id: Some(ClusterId::from(self.id)),
            catalogue: Some(self.seen.clone()),
        }
    }

    pub fn elect(&mut self, random: usize) {
        let mut epochs: Vec<_> = self.topics.0.values_mut().flat_map(|topic| &mut topic.epochs).collect();
        let count = epochs.len().max(1);
        if let Some(epoch) = epochs.get_mut(random % count) {
            **epoch += 1;
        }
    }
}

/// A record of the positions topic that claims the flow.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    pub process: u64,
    pub token: i64,
    pub released: bool,
}

pub struct Truth {
    pub source: Cluster,
    pub target: Cluster,
    ends: BTreeMap<TopicPartition, i64>,
    next_id: u128,
    next_offset: i64,
    pub claims: Vec<Claimed>,
    /// What is saved.
    pub positions: BTreeMap<TopicPartition, i64>,
    /// What the target has acknowledged.
    pub acknowledged: BTreeMap<TopicPartition, i64>,
    /// Remote topics that the target does not create.
    pub refusing: BTreeSet<TopicName>,
}

impl Truth {
    pub fn new() -> Self {
        Self {
            source: Cluster::new("S"),
            target: Cluster::new("T"),
            ends: BTreeMap::new(),
            next_id: 1,
            next_offset: 0,
            claims: Vec::new(),
            positions: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            refusing: BTreeSet::new(),
        }
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }

    /// A topic of the source comes, is re-created, grows or goes.
    pub fn change_topic(&mut self, which: usize, how: usize, partitions: usize) {
        let name = TopicName::from(["a", "b", "c", "odd"][which % 4]);
        let id = self.id();
        let topics = &mut self.source.topics.0;
        match how % 5 {
            0 | 1 => drop(topics.insert(name, Topic { id, epochs: vec![0; partitions] })),
            2 => {
                if let Some(topic) = topics.get_mut(&name) {
                    topic.epochs.push(0);
                }
            }
            _ => drop(topics.remove(&name)),
        }
    }

    pub fn lose_target_topic(&mut self, which: usize) {
        if let Some(name) = self.target.topics.0.keys().nth(which % 4).cloned() {
            self.target.topics.0.remove(&name);
        }
    }

    pub fn ends(&mut self) -> Arc<Ends> {
        for (topic, entry) in &self.source.topics.0 {
            for partition in 0..entry.epochs.len() {
                *self.ends.entry(TopicPartition::new(topic.clone(), partition as i32)).or_default() += 1;
            }
        }
        Arc::new(Ends(self.ends.clone()))
    }

    /// Appends a claim.
    pub fn claim(&mut self, process: u64, released: bool) -> i64 {
        self.next_offset += 1;
        self.claims.push(Claimed { process, token: self.next_offset, released });
        self.next_offset
    }

    /// Whether nobody claimed the flow after this.
    pub fn is_newest(&self, token: i64) -> bool {
        self.claims.iter().rfind(|claim| !claim.released).is_some_and(|claim| claim.token == token)
    }

    /// Writes a position; readers ignore it when its claim is not the newest.
    pub fn save(&mut self, token: i64, source: &TopicPartition, position: i64) {
        self.next_offset += 1;
        if self.is_newest(token) {
            self.positions.insert(source.clone(), position);
        }
    }

    /// Looks after the remote topics; `None` when a cluster is away.
    pub fn reconcile(&mut self) -> Option<Reconciliation> {
        if !self.source.there || !self.target.there {
            return None;
        }
        let mut outcome = Reconciliation::default();
        for (topic, entry) in self.source.topics.clone().0 {
            if !SELECTED.contains(&topic.as_str()) {
                outcome.left_out.insert(topic, "its name is odd".to_owned());
                continue;
            }
            let remote = TopicName::new(format!("S.{topic}"));
            let id = self.id();
            let refused = self.refusing.contains(&topic);
            if !refused {
                let copy = self.target.topics.0.entry(remote.clone());
                let epochs = &mut copy.or_insert(Topic { id, epochs: Vec::new() }).epochs;
                epochs.resize(epochs.len().max(entry.epochs.len()), 0);
            }
            let there = self.target.topics.0.get(&remote).map_or(0, |copy| copy.epochs.len());
            let partitions = there.min(entry.epochs.len()) as i32;
            if partitions > 0 {
                outcome.ready.push(ReadyTopic { topic: topic.clone(), remote: remote.clone(), partitions });
            }
            let fault = refused.then(|| Fault::new(FaultKind::TargetMissing, "it can't be created", ""));
            outcome.statuses.push(TopicStatus { topic, remote, partitions, fault });
        }
        Some(outcome)
    }

    /// The partitions that there should be once everything stands still.
    pub fn wanted(&self) -> BTreeSet<TopicPartition> {
        let selected = self.source.topics.0.iter().filter(|(topic, _)| SELECTED.contains(&topic.as_str()));
        selected
            .flat_map(|(topic, entry)| {
                (0..entry.epochs.len()).map(|index| TopicPartition::new(topic.clone(), index as i32))
            })
            .collect()
    }
}
