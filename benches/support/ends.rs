//! Where the partitions of a topic end, asked often.

use std::time::{Duration, Instant};

use mirrormesh::model::{Isolation, TopicPartition};
use mirrormesh::wire::{OffsetSpec, Wire};
use tokio::runtime::{Builder, Runtime};

use crate::common::{KafkaClient, wire_settings};

/// Asks for the end offsets of one topic over one connection, all partitions in one request. It does not wait for
/// partitions that have no leader yet: the others are told.
pub struct Ends {
    runtime: Runtime,
    wire: Wire,
    topic: String,
    queries: Vec<(TopicPartition, OffsetSpec)>,
}

impl Ends {
    /// For a topic that may not be there yet. Not to be used within a runtime.
    pub fn new(client: &KafkaClient, topic: &str, partitions: i32) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
        let wire =
            Wire::new("bench".into(), &wire_settings(client.bootstrap())).expect("the settings are sound");
        let query = |partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest);
        Self { runtime, wire, topic: topic.to_owned(), queries: (0..partitions).map(query).collect() }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Records in the topic so far, markers included; 0 while it is not there.
    pub fn total(&mut self) -> u64 {
        self.ask().iter().flatten().sum()
    }

    /// Waits until every partition's leader answers for it: a controller names leaders before they have a log.
    pub fn await_all(&mut self, longest: Duration) {
        let began = Instant::now();
        let count = self.queries.len();
        while self.ask().iter().flatten().count() < count {
            assert!(began.elapsed() < longest, "{}: not all partitions answer after {longest:?}", self.topic);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The end of every partition that answers; nothing while no broker does.
    fn ask(&mut self) -> Vec<Option<u64>> {
        let asked = self.wire.list_offsets_within(Duration::ZERO, &self.queries, Isolation::ReadUncommitted);
        let Ok(answers) = self.runtime.block_on(asked) else { return Vec::new() };
        answers.into_iter().map(|(_, answer)| u64::try_from(answer.ok()?.offset).ok()).collect()
    }
}
