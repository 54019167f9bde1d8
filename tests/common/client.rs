//! A Kafka client for tests, on librdkafka: every call does its work or fails the test.

mod admin;
mod consume;
mod groups;
mod produce;

pub use consume::{Consumed, Isolation};
pub use groups::Protocol;
pub use produce::{Ending, Produce, TestRecord};

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

/// How long one call to a broker may take.
const CALL: Duration = Duration::from_secs(30);

/// A client of one cluster. Holds no connection: each call makes its own, so it may be shared between runtimes.
#[derive(Clone, Debug)]
pub struct KafkaClient {
    bootstrap: String,
    settings: Vec<(String, String)>,
}

impl KafkaClient {
    /// A plaintext client.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), settings: Vec::new() }
    }

    /// Adds a librdkafka setting, e.g. `security.protocol`.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Its bootstrap servers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// librdkafka's configuration for this cluster, to build on.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.max.ms", "500")
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Critical);
        for (key, value) in &self.settings {
            config.set(key, value);
        }
        config
    }

    /// Ids of the brokers that a metadata answer names.
    pub fn broker_ids(&self, timeout: Duration) -> Result<Vec<i32>, KafkaError> {
        let consumer: BaseConsumer = self.config().create()?;
        let metadata = consumer.fetch_metadata(None, timeout)?;
        Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
    }

    fn build<T: FromClientConfig>(&self, config: &ClientConfig) -> T {
        T::from_config(config).unwrap_or_else(|error| panic!("{}: {error}", self.bootstrap))
    }
}
