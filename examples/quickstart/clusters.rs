//! A Kafka cluster of one broker that lives in this process.

use std::error::Error;

use krafka::consumer::ConsumerRecord;
use krafka::testing::FakeBroker;

/// The topic that orders are written to, on both clusters.
pub const ORDERS: &str = "orders";
/// Its partitions.
pub const PARTITIONS: i32 = 3;

/// One sample cluster.
pub struct SampleCluster {
    name: &'static str,
    broker: FakeBroker,
}

impl SampleCluster {
    /// Starts the broker on a free port and creates the topic.
    pub async fn start(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let broker = FakeBroker::start().await?;
        broker.with_state(|state| {
            state.cluster_id = format!("quickstart-{name}");
            state.auto_create_topics = false;
        });
        broker.create_topic(ORDERS, PARTITIONS);
        Ok(Self { name, broker })
    }

    /// Its name, also its alias in the mesh.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens, `host:port`.
    pub fn bootstrap(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Names of its topics, sorted.
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self.broker.with_state(|state| state.topics.keys().cloned().collect());
        topics.sort_unstable();
        topics
    }

    /// All records of a topic, by partition and offset.
    pub fn records(&self, topic: &str) -> Result<Vec<ConsumerRecord>, Box<dyn Error>> {
        Ok(self.broker.all_records(topic)?)
    }

    /// Drops the broker's log of requests, which grows with every fetch.
    pub fn forget_requests(&self) {
        self.broker.clear_requests();
    }
}

/// What the orders of a cluster are called on the other one.
pub fn remote_topic(source: &SampleCluster) -> String {
    format!("{}.{ORDERS}", source.name())
}
