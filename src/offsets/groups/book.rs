//! What group sync remembers, and how it is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::formats::{GroupSync, GroupSyncKey, SyncedPartition};
use crate::model::{FlowName, TopicName, TopicPartition};
use crate::offsets::sync::{SyncMemory, SyncPair};

/// What is remembered of every group of a flow: some 100 bytes per partition.
#[derive(Debug, Default)]
pub struct SyncBook {
    groups: HashMap<String, BTreeMap<TopicPartition, SyncMemory>>,
    /// Changed since it was last stored.
    dirty: BTreeSet<(String, TopicName)>,
}

impl SyncBook {
    /// What was stored.
    pub fn load(stored: &HashMap<GroupSyncKey, GroupSync>) -> Self {
        let mut book = Self::default();
        for (key, sync) in stored {
            let partitions = book.groups.entry(key.group.clone()).or_default();
            for synced in &sync.partitions {
                let source = TopicPartition::new(key.topic.clone(), synced.partition);
                partitions.insert(source, from_stored(synced));
            }
        }
        book
    }

    /// What is remembered of one partition, named as on the source.
    pub fn get(&self, group: &str, source: &TopicPartition) -> SyncMemory {
        self.groups.get(group).and_then(|partitions| partitions.get(source)).copied().unwrap_or_default()
    }

    /// Changes what is remembered; one of the [`SyncBook::changes`] if it is something else.
    pub fn set(&mut self, group: &str, source: &TopicPartition, memory: SyncMemory) {
        if self.get(group, source) == memory {
            return;
        }
        let partitions = self.groups.entry(group.to_owned()).or_default();
        match memory.is_empty() {
            true => drop(partitions.remove(source)),
            false => drop(partitions.insert(source.clone(), memory)),
        }
        if partitions.is_empty() {
            self.groups.remove(group);
        }
        self.dirty.insert((group.to_owned(), source.topic.clone()));
    }

    /// The groups that something is remembered of.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    /// The partitions of a group that something is remembered of, named as on the source.
    pub fn partitions(&self, group: &str) -> impl Iterator<Item = &TopicPartition> {
        self.groups.get(group).into_iter().flat_map(BTreeMap::keys)
    }

    /// What is to be stored: all that changed since [`SyncBook::stored`]; nothing stands for a tombstone.
    pub fn changes(&self, flow: &FlowName) -> Vec<(GroupSyncKey, Option<GroupSync>)> {
        self.dirty.iter().map(|(group, topic)| self.record(flow, group, topic)).collect()
    }

    /// Notes that all changes are stored.
    pub fn stored(&mut self) {
        self.dirty.clear();
    }

    fn record(&self, flow: &FlowName, group: &str, topic: &TopicName) -> (GroupSyncKey, Option<GroupSync>) {
        let key = GroupSyncKey { flow: flow.clone(), group: group.to_owned(), topic: topic.clone() };
        let of_topic = TopicPartition::new(topic.clone(), 0)..=TopicPartition::new(topic.clone(), i32::MAX);
        let remembered =
            self.groups.get(group).into_iter().flat_map(|partitions| partitions.range(of_topic.clone()));
        let partitions: Vec<_> =
            remembered.map(|(source, memory)| to_stored(source.partition, memory)).collect();
        (key, (!partitions.is_empty()).then_some(GroupSync { partitions }))
    }
}

fn to_stored(partition: i32, memory: &SyncMemory) -> SyncedPartition {
    SyncedPartition {
        partition,
        source: memory.synced.map(|pair| pair.source),
        target: memory.synced.map(|pair| pair.target),
        owner: memory.synced.map(|pair| pair.owner).unwrap_or_default(),
        planned_source: memory.planned.map(|pair| pair.source),
        planned_target: memory.planned.map(|pair| pair.target),
        planned_owner: memory.planned.map(|pair| pair.owner).unwrap_or_default(),
        written_ms: memory.written_ms,
    }
}

fn from_stored(stored: &SyncedPartition) -> SyncMemory {
    let pair = |source: Option<i64>, target: Option<i64>, owner| {
        Some(SyncPair { source: source?, target: target?, owner })
    };
    SyncMemory {
        synced: pair(stored.source, stored.target, stored.owner),
        planned: pair(stored.planned_source, stored.planned_target, stored.planned_owner),
        written_ms: stored.written_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Side;

    fn memory(source: i64) -> SyncMemory {
        let pair = SyncPair { source, target: source + 1, owner: Side::Target };
        SyncMemory { synced: Some(pair), planned: None, written_ms: 7 }
            .plan(SyncPair { owner: Side::Source, ..pair })
    }

    #[test]
    fn what_is_stored_comes_back() {
        let mut book = SyncBook::default();
        let [a0, a1, b0] =
            [("a", 0), ("a", 1), ("b", 0)].map(|(topic, index)| TopicPartition::new(topic, index));
        for (index, partition) in [&a0, &a1, &b0].into_iter().enumerate() {
            book.set("g", partition, memory(index as i64));
        }
        let flow = FlowName::from("f");
        assert_eq!(book.dirty.len(), 2, "a record per topic");
        let stored = ["a", "b"].map(|topic| book.record(&flow, "g", &topic.into()));
        let stored: HashMap<_, _> = stored.into_iter().map(|(key, sync)| (key, sync.unwrap())).collect();
        let loaded = SyncBook::load(&stored);
        assert_eq!(loaded.groups, book.groups);
        assert!(loaded.dirty.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_removed_and_what_is_the_same_is_not_written() {
        let mut book = SyncBook::default();
        let partition = TopicPartition::new("a", 0);
        book.set("g", &partition, memory(1));
        book.stored();
        book.set("g", &partition, memory(1));
        assert!(book.dirty.is_empty());
        book.set("g", &partition, SyncMemory::default());
        assert_eq!(book.groups().count(), 0);
        assert_eq!(book.dirty.len(), 1);
        assert!(book.record(&"f".into(), "g", &"a".into()).1.is_none(), "a tombstone");
    }
}
