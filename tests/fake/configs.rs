//! Configuration of topics and brokers: which keys there are, what they take, and what they are unless set.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;

use super::state::Refusal;

/// Numbers of sources in answers.
pub(super) const FROM_TOPIC: i8 = 1;
pub(super) const FROM_DEFAULT: i8 = 5;

/// What a key takes, and its number in answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Boolean,
    Text,
    /// At least this.
    Int(i64),
    /// At least this.
    Long(i64),
    /// A share, from 0 to 1.
    Double,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Some of these.
    ListOf(&'static [&'static str]),
}

/// A key of a topic's configuration.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) kind: Kind,
}

const fn key(name: &'static str, default: &'static str, kind: Kind) -> Key {
    Key { name, default, kind }
}

const FOREVER: &str = "9223372036854775807";
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// The keys of topics in Kafka 4.3 (`LogConfig`).
pub(super) const TOPIC_KEYS: &[Key] = &[
    key("cleanup.policy", "delete", Kind::ListOf(&["compact", "delete"])),
    key("compression.gzip.level", "-1", Kind::Int(-1)),
    key("compression.lz4.level", "9", Kind::Int(1)),
    key("compression.type", "producer", Kind::OneOf(CODECS)),
    key("compression.zstd.level", "3", Kind::Int(-131_072)),
    key("delete.retention.ms", "86400000", Kind::Long(0)),
    key("file.delete.delay.ms", "60000", Kind::Long(0)),
    key("flush.messages", FOREVER, Kind::Long(1)),
    key("flush.ms", FOREVER, Kind::Long(0)),
    key("follower.replication.throttled.replicas", "", Kind::Text),
    key("index.interval.bytes", "4096", Kind::Int(0)),
    key("leader.replication.throttled.replicas", "", Kind::Text),
    key("local.retention.bytes", "-2", Kind::Long(-2)),
    key("local.retention.ms", "-2", Kind::Long(-2)),
    key("max.compaction.lag.ms", FOREVER, Kind::Long(1)),
    key("max.message.bytes", "1048588", Kind::Int(0)),
    key("message.timestamp.after.max.ms", "3600000", Kind::Long(0)),
    key("message.timestamp.before.max.ms", FOREVER, Kind::Long(0)),
    key("message.timestamp.type", "CreateTime", Kind::OneOf(&["CreateTime", "LogAppendTime"])),
    key("min.cleanable.dirty.ratio", "0.5", Kind::Double),
    key("min.compaction.lag.ms", "0", Kind::Long(0)),
    key("min.insync.replicas", "1", Kind::Int(1)),
    key("preallocate", "false", Kind::Boolean),
    key("remote.log.copy.disable", "false", Kind::Boolean),
    key("remote.log.delete.on.disable", "false", Kind::Boolean),
    key("remote.storage.enable", "false", Kind::Boolean),
    key("retention.bytes", "-1", Kind::Long(i64::MIN)),
    key("retention.ms", "604800000", Kind::Long(-1)),
    key("segment.bytes", "1073741824", Kind::Int(1 << 20)),
    key("segment.index.bytes", "10485760", Kind::Int(4)),
    key("segment.jitter.ms", "0", Kind::Long(0)),
    key("segment.ms", "604800000", Kind::Long(1)),
    key("unclean.leader.election.enable", "false", Kind::Boolean),
];

/// What a broker tells of its own configuration: the few keys that anybody asks for.
pub(super) const BROKER_KEYS: &[Key] = &[
    key("auto.create.topics.enable", "true", Kind::Boolean),
    key("default.replication.factor", "1", Kind::Int(1)),
    key("message.max.bytes", "1048588", Kind::Int(0)),
    key("num.partitions", "1", Kind::Int(1)),
    key("offsets.retention.minutes", "10080", Kind::Int(1)),
    key("producer.id.expiration.ms", "86400000", Kind::Int(1)),
];

impl Kind {
    /// The kind's number in answers.
    pub(super) fn number(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Text | Self::OneOf(_) => 2,
            Self::Int(_) => 3,
            Self::Long(_) => 5,
            Self::Double => 6,
            Self::ListOf(_) => 7,
        }
    }

    fn takes(self, value: &str) -> bool {
        match self {
            Self::Boolean => ["true", "false"].contains(&value.to_ascii_lowercase().as_str()),
            Self::Text => true,
            Self::Int(min) => value.parse::<i32>().is_ok_and(|number| i64::from(number) >= min),
            Self::Long(min) => value.parse::<i64>().is_ok_and(|number| number >= min),
            Self::Double => value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)),
            Self::OneOf(words) => words.contains(&value),
            Self::ListOf(words) => value.split(',').all(|word| words.contains(&word)),
        }
    }
}

/// Refuses a key that doesn't exist, or a value that it doesn't take.
pub(super) fn check(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let Some(key) = TOPIC_KEYS.iter().find(|key| key.name == name) else {
        return Err(Refusal::new(ResponseError::InvalidConfig, format!("Unknown topic config name: {name}")));
    };
    match value {
        Some(value) if key.kind.takes(value) => Ok(()),
        Some(value) => {
            let text = format!("Invalid value {value} for configuration {name}");
            Err(Refusal::new(ResponseError::InvalidConfig, text))
        }
        None => {
            let text = format!("Null value not supported for topic configs: {name}");
            Err(Refusal::new(ResponseError::InvalidConfig, text))
        }
    }
}

/// The value of a topic's key: its own, or the default.
pub(super) fn value<'a>(own: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    let default = || TOPIC_KEYS.iter().find(|key| key.name == name).map(|key| key.default);
    own.get(name).map(String::as_str).or_else(default).expect("the key exists")
}

/// The keys of topics and their defaults.
pub(crate) fn topic_defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOPIC_KEYS.iter().map(|key| (key.name, key.default))
}
