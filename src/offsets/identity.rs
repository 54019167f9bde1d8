//! Which logs a map speaks of.

use crate::model::{TopicId, TopicName};

/// Which logs a map speaks of: with another one, nothing that it says holds any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapIdentity {
    /// Id of the source topic; zero if the broker has none.
    pub source_topic_id: TopicId,
    /// Name of the remote topic.
    pub remote_topic: TopicName,
    /// Id of the remote topic; zero if the broker has none.
    pub target_topic_id: TopicId,
}

impl MapIdentity {
    /// Whether the two certainly name different logs: an id that is not known compares with nothing.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.remote_topic != other.remote_topic
            || self.source_topic_id.differs_from(other.source_topic_id)
            || self.target_topic_id.differs_from(other.target_topic_id)
    }

    /// Takes ids that were not known over. Returns whether there were any.
    pub(super) fn learn(&mut self, other: &Self) -> bool {
        let mut learnt = false;
        for (known, id) in [
            (&mut self.source_topic_id, other.source_topic_id),
            (&mut self.target_topic_id, other.target_topic_id),
        ] {
            if !known.is_known() && id.is_known() {
                *known = id;
                learnt = true;
            }
        }
        learnt
    }
}
