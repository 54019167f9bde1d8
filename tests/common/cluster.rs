//! Real Kafka clusters (KRaft, combined nodes), started for a test.

use std::path::Path;

use super::broker::{Broker, BrokerPlan};
use super::dirs::fresh_dir;
use super::{KafkaClient, blocking};

/// Says what a cluster should be like; [`Cluster::builder`] makes one.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    name: String,
    brokers: u16,
    properties: Vec<(String, String)>,
}

impl ClusterBuilder {
    /// One plaintext broker without automatic topic creation.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), brokers: 1, properties: Vec::new() }
    }

    /// How many brokers: 1 or 3.
    pub fn brokers(mut self, count: u16) -> Self {
        self.brokers = count;
        self
    }

    /// Sets a broker property; wins over the harness's own.
    pub fn property(mut self, key: &str, value: impl ToString) -> Self {
        self.properties.push((key.to_owned(), value.to_string()));
        self
    }

    /// Starts the cluster and waits until every broker answers.
    pub async fn start(self) -> Cluster {
        blocking(move || self.start_blocking()).await
    }

    /// [`Self::start`] for callers outside a runtime.
    pub fn start_blocking(self) -> Cluster {
        let id = cluster_id();
        let dir = fresh_dir(&self.name);
        let plans: Vec<BrokerPlan> = (1..=self.brokers).map(BrokerPlan::new).collect();
        let voters: Vec<String> = plans.iter().map(BrokerPlan::voter).collect();
        let voters = voters.join(",");
        let brokers: Vec<Broker> = plans
            .into_iter()
            .map(|plan| plan.prepare(&self.name, &dir, &voters, self.brokers, &self.properties))
            .collect();
        std::thread::scope(|scope| {
            for broker in &brokers {
                let id = &id;
                scope.spawn(move || broker.format(id));
            }
        });
        let bootstrap: Vec<String> = brokers.iter().map(Broker::address).collect();
        let client = KafkaClient::new(&bootstrap.join(","));
        start_all(&brokers);
        Cluster { name: self.name, id, client, brokers }
    }
}

/// A running cluster; its brokers are killed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    id: String,
    client: KafkaClient,
    brokers: Vec<Broker>,
}

impl Cluster {
    /// Begins the description of a cluster: one plaintext broker unless told otherwise.
    pub fn builder(name: &str) -> ClusterBuilder {
        ClusterBuilder::new(name)
    }

    /// The name given to the builder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id it was formatted with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bootstrap servers of the plaintext listener, reached directly.
    pub fn bootstrap(&self) -> &str {
        self.client.bootstrap()
    }

    /// A client on the plaintext listener, with every right.
    pub fn client(&self) -> &KafkaClient {
        &self.client
    }

    /// Its brokers, node ids from 1.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The broker of a cluster that has one, or the first.
    pub fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    /// SIGTERM to every broker; returns when all are gone.
    pub async fn stop(&self) {
        let brokers = self.brokers.clone();
        blocking(move || {
            std::thread::scope(|scope| {
                for broker in &brokers {
                    scope.spawn(|| broker.stop_blocking());
                }
            });
        })
        .await;
    }

    /// SIGKILL to every broker.
    pub fn kill(&self) {
        self.brokers.iter().for_each(Broker::kill);
    }

    /// Starts every broker that is down, on its old port and data; returns when all answer.
    pub async fn start(&self) {
        let brokers = self.brokers.clone();
        blocking(move || start_all(&brokers)).await;
    }

    /// Stalls every broker (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.brokers.iter().for_each(Broker::pause);
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.brokers.iter().for_each(Broker::resume);
    }

    /// The data folder of the first broker: holds `<topic>-<partition>/` folders. Touch it only while the broker is down.
    pub fn data_dir(&self) -> &Path {
        self.broker().data_dir()
    }
}

fn start_all(brokers: &[Broker]) {
    for broker in brokers {
        broker.launch();
    }
    for broker in brokers {
        broker.wait_ready(brokers.len());
    }
}

/// 128 random bits as Kafka writes them: 22 characters of URL-safe base64, of which letters are enough.
fn cluster_id() -> String {
    // The last character carries two bits only.
    format!("{}A", super::random_text(21))
}
