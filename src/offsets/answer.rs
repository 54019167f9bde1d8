//! A translated offset with its names on both sides, as tables and JSON show it.

use serde::{Deserialize, Serialize};

use super::{OffsetMap, Translation};
use crate::model::groups::Worth;
use crate::model::{TopicName, TopicPartition};

/// Which way an offset is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the source to the target.
    Forward,
    /// From the target back to the source.
    Reverse,
}

/// An offset of one side and what it means on the other. Field names are part of the interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranslatedOffset {
    /// The topic, by its name on the side that the offset is of.
    pub topic: TopicName,
    /// The partition, the same on both sides.
    pub partition: i32,
    /// The offset that was asked about: the next record to read.
    pub offset: i64,
    /// The topic's name on the other side.
    pub translated_topic: TopicName,
    /// Where to go on on the other side; none when nobody knows.
    pub translated_offset: Option<i64>,
    /// What the answer is worth.
    pub worth: Worth,
}

impl TranslatedOffset {
    /// Translates an offset by a partition's map.
    pub fn by_map(source: &TopicPartition, map: &OffsetMap, offset: i64, direction: Direction) -> Self {
        let remote = &map.identity().remote_topic;
        let (topic, other, translation) = match direction {
            Direction::Forward => (&source.topic, remote, map.forward(offset)),
            Direction::Reverse => (remote, &source.topic, map.backward(offset)),
        };
        Self::new(topic, source.partition, offset, other, translation)
    }

    /// Puts a translation into words.
    pub fn new(
        topic: &TopicName,
        partition: i32,
        offset: i64,
        translated_topic: &TopicName,
        translation: Translation,
    ) -> Self {
        Self {
            topic: topic.clone(),
            partition,
            offset,
            translated_topic: translated_topic.clone(),
            translated_offset: translation.offset(),
            worth: translation.worth(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Segment, TopicId};
    use crate::offsets::MapIdentity;

    #[test]
    fn both_ways_name_the_topic_as_each_side_does() {
        let identity = MapIdentity {
            source_topic_id: TopicId::default(),
            remote_topic: "east.orders".into(),
            target_topic_id: TopicId::default(),
        };
        let mut map = OffsetMap::new(identity, 100, 0);
        map.acknowledged(&[Segment { source_base: 100, target_base: 0, count: 10 }], 110);
        let source = TopicPartition::new("orders", 3);
        let there = TranslatedOffset::by_map(&source, &map, 105, Direction::Forward);
        assert_eq!(
            serde_json::to_value(&there).unwrap(),
            serde_json::json!({
                "topic": "orders", "partition": 3, "offset": 105,
                "translated_topic": "east.orders", "translated_offset": 5, "worth": "exact",
            })
        );
        let back = TranslatedOffset::by_map(&source, &map, 5, Direction::Reverse);
        assert_eq!((back.topic.as_str(), back.translated_topic.as_str()), ("east.orders", "orders"));
        assert_eq!((back.offset, back.translated_offset, back.worth), (5, Some(105), Worth::Exact));
    }
}
