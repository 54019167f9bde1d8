//! Which topics of the source are which on the target.

use std::collections::HashMap;

use crate::model::{TopicName, TopicPartition};

/// The topics that a flow mirrors, by their names on both sides.
#[derive(Debug, Default)]
pub struct TopicPairs {
    remotes: HashMap<TopicName, TopicName>,
    sources: HashMap<TopicName, TopicName>,
}

impl FromIterator<(TopicName, TopicName)> for TopicPairs {
    /// From topics of the source and what each is called on the target.
    fn from_iter<I: IntoIterator<Item = (TopicName, TopicName)>>(pairs: I) -> Self {
        let mut names = Self::default();
        for (source, remote) in pairs {
            names.sources.insert(remote.clone(), source.clone());
            names.remotes.insert(source, remote);
        }
        names
    }
}

impl TopicPairs {
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
