//! What the target's topics accept, as far as it is known.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::engine::TargetLimits;
use crate::model::{ConfigEntry, TopicName};

/// Limits by remote topic.
#[derive(Debug, Default)]
pub(crate) struct LimitBook {
    limits: Mutex<HashMap<TopicName, TargetLimits>>,
}

impl LimitBook {
    /// What the topic accepts; Kafka's defaults while it is not known.
    pub(crate) fn get(&self, topic: &TopicName) -> TargetLimits {
        self.limits.lock().get(topic).copied().unwrap_or_default()
    }

    /// Notes what the topic accepts; true when that is news.
    pub(crate) fn set(&self, topic: TopicName, limits: TargetLimits) -> bool {
        self.limits.lock().insert(topic, limits) != Some(limits)
    }

    /// Everything known.
    pub(crate) fn all(&self) -> BTreeMap<TopicName, TargetLimits> {
        self.limits.lock().iter().map(|(topic, limits)| (topic.clone(), *limits)).collect()
    }
}

/// Reads limits from a topic's effective configuration. What is missing or unreadable counts as Kafka's default.
pub(crate) fn from_configs(entries: &[ConfigEntry]) -> TargetLimits {
    let value = |name: &str| entries.iter().find(|entry| entry.name == name).and_then(|e| e.value.as_deref());
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
    // Brokers write "no limit" as the largest number there is.
    let bound = |name: &str| number(name).filter(|limit| *limit < i64::MAX);
    let defaults = TargetLimits::default();
    let max = number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok());
    TargetLimits {
        max_message_bytes: max.unwrap_or(defaults.max_message_bytes),
        compacted: value("cleanup.policy")
            .is_some_and(|policy| policy.split(',').any(|p| p.trim() == "compact")),
        timestamp_before_max_ms: bound("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: bound("message.timestamp.after.max.ms"),
        append_time: value("message.timestamp.type") == Some("LogAppendTime"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConfigSource;

    fn entry(name: &str, value: &str) -> ConfigEntry {
        ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            read_only: false,
            sensitive: false,
            source: ConfigSource::Topic,
        }
    }

    #[test]
    fn limits_are_read_from_the_effective_configuration() {
        let limits = from_configs(&[
            entry("max.message.bytes", "2000"),
            entry("cleanup.policy", "delete,compact"),
            entry("message.timestamp.after.max.ms", "9223372036854775807"),
            entry("message.timestamp.before.max.ms", "1000"),
            entry("message.timestamp.type", "LogAppendTime"),
        ]);
        assert_eq!(limits.max_message_bytes, 2000);
        assert!(limits.compacted && limits.append_time);
        assert_eq!((limits.timestamp_before_max_ms, limits.timestamp_after_max_ms), (Some(1000), None));
        assert!(!from_configs(&[entry("cleanup.policy", "delete")]).compacted);
    }

    #[test]
    fn only_a_change_is_news() {
        let book = LimitBook::default();
        assert!(book.set("t".into(), TargetLimits::default()));
        assert!(!book.set("t".into(), TargetLimits::default()));
        assert!(book.set("t".into(), TargetLimits { compacted: true, ..TargetLimits::default() }));
    }
}
