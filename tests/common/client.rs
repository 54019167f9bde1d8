//! A Kafka client for tests, on librdkafka: every call does its work or fails the test.

mod admin;
mod consume;
mod groups;
mod produce;

pub use consume::{Consumed, Isolation};
pub use groups::{Member, Protocol};
pub use produce::{Ending, Produce, TestRecord};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::CEILING;

/// How long a call that is made once may take.
const CALL: Duration = Duration::from_secs(60);
/// How long one try of a question may take.
const TRY: Duration = Duration::from_secs(10);

/// A client of one cluster; clones share its connections, between runtimes too.
///
/// Writing, reading and administering make a connection of their own for each call. Questions, which tests ask over
/// and over, keep one, until it fails them.
#[derive(Clone)]
pub struct KafkaClient {
    bootstrap: String,
    settings: Vec<(String, String)>,
    kept: Arc<Mutex<Option<BaseConsumer>>>,
}

impl fmt::Debug for KafkaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaClient").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl KafkaClient {
    /// A plaintext client.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), settings: Vec::new(), kept: Arc::default() }
    }

    /// Adds a librdkafka setting, e.g. `security.protocol`.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self.kept = Arc::default();
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

    /// Asks once, through the kept client or a new one; kept is what gave an answer.
    fn ask<T>(&self, ask: impl Fn(&BaseConsumer) -> Result<T, String>) -> Result<T, String> {
        // Out of its place while it is used: who asks at the same time makes another.
        let kept = self.kept.lock().take();
        let consumer = kept.unwrap_or_else(|| self.build(&self.config()));
        let answer = ask(&consumer);
        if answer.is_ok() {
            *self.kept.lock() = Some(consumer);
        }
        answer
    }

    /// Asks until there is an answer, each time through another client.
    ///
    /// Clusters that have just started, or lost a broker, don't answer at once, and a client of librdkafka 2.12 that has
    /// lost its brokers was seen not to find them again (`docs/records.md`).
    fn insist<T>(&self, what: &str, ask: impl Fn(&BaseConsumer) -> Result<T, String>) -> T {
        self.until_answered(what, || self.ask(&ask))
    }

    /// [`Self::insist`] with this configuration.
    fn insist_with<T>(
        &self,
        what: &str,
        config: &ClientConfig,
        ask: impl Fn(&BaseConsumer) -> Result<T, String>,
    ) -> T {
        self.until_answered(what, || ask(&self.build(config)))
    }

    fn until_answered<T>(&self, what: &str, ask: impl Fn() -> Result<T, String>) -> T {
        let deadline = Instant::now() + CEILING;
        loop {
            match ask() {
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
