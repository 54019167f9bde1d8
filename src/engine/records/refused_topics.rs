//! Target topics that refused something lately.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// Target topics that refused something lately; clones are the same list.
///
/// A batch that the target refuses for good ends an idempotent producer, and with it the session of its flow. The
/// list outlives the session: the next one writes such a topic through a producer of its own, so that it ends only
/// that one until it is mended. A topic leaves the list with the first batch it takes again.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct RefusedTopics {
    topics: Arc<Mutex<HashSet<String>>>,
}

impl RefusedTopics {
    pub(super) fn add(&self, topic: &str) {
        self.topics.lock().insert(topic.to_owned());
    }

    pub(super) fn remove(&self, topic: &str) {
        self.topics.lock().remove(topic);
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        self.topics.lock().contains(topic)
    }
}
