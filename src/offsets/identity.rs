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
