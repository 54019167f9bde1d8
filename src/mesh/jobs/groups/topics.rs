//! Which topics of the source are which on the target.

use std::collections::HashMap;

use crate::cluster::Catalogue;
use crate::model::{TopicName, TopicPartition};
use crate::topology::{Choice, Selector};

/// The topics that a flow mirrors, by their names on both sides.
#[derive(Debug, Default)]
pub(super) struct TopicPairs {
    remotes: HashMap<TopicName, TopicName>,
    sources: HashMap<TopicName, TopicName>,
}

impl TopicPairs {
    /// The topics of the source that the flow takes.
    pub fn of(selector: &Selector, source: &Catalogue) -> Self {
        let mut pairs = Self::default();
        for (topic, entry) in &source.topics {
            if let Choice::Take { remote, .. } = selector.select(topic, entry.internal) {
                pairs.sources.insert(remote.clone(), topic.clone());
                pairs.remotes.insert(topic.clone(), remote);
            }
        }
        pairs
    }

    /// The partition on the target; `None` if the flow doesn't mirror it.
    pub fn to_target(&self, source: &TopicPartition) -> Option<TopicPartition> {
        let remote = self.remotes.get(&source.topic)?;
        Some(TopicPartition::new(remote.clone(), source.partition))
    }

    /// The partition on the source; `None` if the flow doesn't mirror into it.
    pub fn to_source(&self, target: &TopicPartition) -> Option<TopicPartition> {
        let topic = self.sources.get(&target.topic)?;
        Some(TopicPartition::new(topic.clone(), target.partition))
    }
}
