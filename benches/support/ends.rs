//! Where the partitions of a topic end, asked often.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::common::KafkaClient;

const CALL: Duration = Duration::from_secs(10);

/// Asks for the end offsets of one topic over one connection: all partitions in one request.
pub struct Ends {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
    found: bool,
}

impl Ends {
    /// For a topic that may not be there yet.
    pub fn new(client: &KafkaClient, topic: &str, partitions: i32) -> Self {
        let consumer = client.config().create().expect("a consumer can be built");
        Self { consumer, topic: topic.to_owned(), partitions, found: false }
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
        let count = usize::try_from(self.partitions).expect("there are partitions");
        while self.ask().iter().flatten().count() < count {
            assert!(began.elapsed() < longest, "{}: not all partitions answer after {longest:?}", self.topic);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The end of every partition that answers; nothing while the topic is not there.
    fn ask(&mut self) -> Vec<Option<u64>> {
        if !self.found && !self.exists() {
            return Vec::new();
        }
        self.found = true;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.topic, partition, Offset::End).expect("an end is a valid offset");
        }
        let Ok(answer) = self.consumer.offsets_for_times(list, CALL) else { return Vec::new() };
        let end = |element: &TopicPartitionListElem<'_>| match (element.error(), element.offset()) {
            (Ok(()), Offset::Offset(end)) => u64::try_from(end).ok(),
            _ => None,
        };
        answer.elements().iter().map(end).collect()
    }

    fn exists(&self) -> bool {
        let Ok(metadata) = self.consumer.fetch_metadata(Some(&self.topic), CALL) else { return false };
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let led = partitions.iter().filter(|partition| partition.leader() >= 0).count();
        i32::try_from(led) == Ok(self.partitions)
    }
}
