//! Configuration entries of topics and brokers, as clusters tell them.

use std::fmt;

/// One configuration entry.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` for one that is null or secret.
    pub value: Option<String>,
    /// Where its value comes from.
    pub source: ConfigSource,
    /// Whether it can't be changed.
    pub read_only: bool,
    /// Whether its value is secret.
    pub sensitive: bool,
}

impl ConfigEntry {
    /// Whether nobody set it on the topic.
    pub fn is_default(&self) -> bool {
        self.source != ConfigSource::Topic
    }

    /// Whether it can be set on another cluster.
    pub fn can_be_copied(&self) -> bool {
        !self.read_only && !self.sensitive
    }
}

impl fmt::Debug for ConfigEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.sensitive { Some("(hidden)") } else { self.value.as_deref() };
        write!(f, "{}={value:?} from {:?}", self.name, self.source)
    }
}

/// Where a configuration value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set at run time on this broker.
    DynamicBroker,
    /// Set at run time on all brokers.
    DynamicDefaultBroker,
    /// Set in the broker's `server.properties`.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Something newer than this program.
    Unknown,
}
