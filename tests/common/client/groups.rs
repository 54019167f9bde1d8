//! Consumer groups: members, and commits without membership.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{KafkaClient, TRY};
use crate::common::{CEILING, blocking};

/// The protocol by which a member joins its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Members assign partitions among themselves.
    Classic,
    /// The coordinator assigns them (KIP-848).
    Consumer,
}

/// A consumer that is a member of a group, until it is dropped.
pub struct Member {
    consumer: BaseConsumer,
}

impl Member {
    /// Leaves the group.
    pub async fn leave(self) {
        blocking(move || drop(self.consumer)).await;
    }
}

impl KafkaClient {
    /// Joins a group for a topic; returns once it has partitions to read.
    pub async fn join(&self, group: &str, topic: &str, protocol: Protocol) -> Member {
        let mut config = self.config();
        config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        config.set(
            "group.protocol",
            match protocol {
                Protocol::Classic => "classic",
                Protocol::Consumer => "consumer",
            },
        );
        let (client, group, topic) = (self.clone(), group.to_owned(), topic.to_owned());
        blocking(move || {
            let consumer: BaseConsumer = client.build(&config);
            consumer.subscribe(&[&topic]).unwrap_or_else(|error| panic!("{group}: {topic}: {error}"));
            let deadline = Instant::now() + CEILING;
            let mut said = None;
            while consumer.assignment().is_ok_and(|list| list.count() == 0) {
                assert!(
                    Instant::now() < deadline,
                    "{group}: no partitions of {topic} in {CEILING:?}: {said:?}"
                );
                // What a broker of a busy machine refuses for a moment is tried again by the client itself.
                said = consumer.poll(Duration::from_millis(100)).and_then(Result::err).or(said);
            }
            Member { consumer }
        })
        .await
    }

    /// Commits offsets for a group without joining it, as programs do that assign partitions to themselves:
    /// topic, partition, offset, and the text beside it.
    pub async fn commit(&self, group: &str, offsets: &[(&str, i32, i64, &str)]) {
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset, metadata) in offsets {
            let mut element = list.add_partition(topic, *partition);
            element.set_offset(Offset::Offset(*offset)).expect("the offset is valid");
            element.set_metadata(*metadata);
        }
        let (client, group) = (self.clone(), group.to_owned());
        blocking(move || {
            let mut config = client.config();
            config.set("group.id", &group).set("enable.auto.commit", "false");
            let consumer: BaseConsumer = client.build(&config);
            // librdkafka looks for the coordinator first; brokers that have just started may not have one yet.
            let deadline = Instant::now() + CEILING;
            while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
                assert!(Instant::now() < deadline, "{group}: committing {list:?}: {error}");
                std::thread::sleep(Duration::from_millis(200));
            }
        })
        .await;
    }

    /// What a group has committed for each partition of a topic.
    pub async fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let partitions = self.end_offsets(topic).await.len();
        let (client, group, topic) = (self.clone(), group.to_owned(), topic.to_owned());
        blocking(move || {
            let mut list = TopicPartitionList::new();
            let last = i32::try_from(partitions).expect("a partition count is an i32") - 1;
            list.add_partition_range(&topic, 0, last);
            let (mut config, what) = (client.config(), format!("what {group} committed for {topic}"));
            client.insist_with(&what, config.set("group.id", &group), |consumer| {
                let found =
                    consumer.committed_offsets(list.clone(), TRY).map_err(|error| error.to_string())?;
                let offset = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
                    element.error().map_err(|error| error.to_string())?;
                    Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
                };
                found.elements().iter().map(offset).collect()
            })
        })
        .await
    }
}
