//! Topic configuration of many topics, in requests of bounded size.

use std::collections::BTreeMap;

use crate::model::{ConfigEntry, TopicName};
use crate::wire::{Wire, WireError};

/// Topics described in one request: an answer is about 5 KB a topic.
const TOPICS_PER_DESCRIBE: usize = 500;

/// Configuration by topic.
pub type Described = BTreeMap<TopicName, Result<Vec<ConfigEntry>, WireError>>;

/// Describes topics in requests of bounded size.
pub async fn describe(wire: &Wire, topics: &[TopicName]) -> Result<Described, WireError> {
    let mut all = Described::new();
    for some in topics.chunks(TOPICS_PER_DESCRIBE) {
        match wire.describe_topic_configs(some).await {
            Ok(answers) => all.extend(answers),
            // A broker that can't describe (a test broker) leaves everything at its default.
            Err(error) if error.is_unsupported() => {
                all.extend(some.iter().map(|t| (t.clone(), Ok(Vec::new()))))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
