//! A Kafka client for tests, on librdkafka: every call does its work or fails the test.

mod admin;
mod consume;
mod groups;
mod produce;

pub use consume::{Consumed, Isolation};
pub use groups::{Member, Protocol};
pub use produce::{Ending, Produce, TestRecord};

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::CEILING;

/// How long a call that is made once may take.
const CALL: Duration = Duration::from_secs(60);
/// How long one try of a question may take.
const TRY: Duration = Duration::from_secs(10);

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

    /// Asks until there is an answer, each time through a client of its own.
    ///
    /// Clusters that have just started, or lost a broker, don't answer at once; and librdkafka's client does not come
    /// back from an answer that names no broker, which a broker gives for a moment after a pause.
    fn insist<T>(&self, what: &str, ask: impl Fn(&BaseConsumer) -> Result<T, String>) -> T {
        self.insist_with(what, &self.config(), ask)
    }

    /// [`Self::insist`] with this configuration.
    fn insist_with<T>(
        &self,
        what: &str,
        config: &ClientConfig,
        ask: impl Fn(&BaseConsumer) -> Result<T, String>,
    ) -> T {
        let deadline = Instant::now() + CEILING;
        loop {
            match ask(&self.build(config)) {
                Ok(answer) => return answer,
                Err(error) => assert!(Instant::now() < deadline, "{}: {what}: {error}", self.bootstrap),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn build<T: FromClientConfig>(&self, config: &ClientConfig) -> T {
        T::from_config(config).unwrap_or_else(|error| panic!("{}: {error}", self.bootstrap))
    }
}
