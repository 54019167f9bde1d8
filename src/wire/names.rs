//! Between our names and the codec's.

use kafka_protocol::messages::TopicName as KafkaTopic;
use kafka_protocol::protocol::StrBytes;

use crate::model::{TopicName, TopicPartition};

/// A text as the codec wants it.
pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// A topic's name as the codec wants it.
pub(super) fn kafka_topic(topic: &TopicName) -> KafkaTopic {
    KafkaTopic(text(topic.as_str()))
}

/// Puts what is asked about partitions together by topic, topics in order of first mention.
pub(super) fn by_topic<'a, P>(
    items: impl Iterator<Item = (&'a TopicPartition, P)>,
) -> Vec<(KafkaTopic, Vec<P>)> {
    let mut places = std::collections::HashMap::new();
    let mut topics: Vec<(KafkaTopic, Vec<P>)> = Vec::new();
    for (partition, item) in items {
        let place = *places.entry(&partition.topic).or_insert_with(|| {
            topics.push((kafka_topic(&partition.topic), Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push(item);
    }
    topics
}
