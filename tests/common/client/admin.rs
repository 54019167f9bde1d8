//! Topics: making, growing, trimming, deleting, looking.

use std::collections::BTreeMap;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{CALL, KafkaClient, TRY};
use crate::common::{blocking, wait_for};

impl KafkaClient {
    /// Creates a topic with one replica and waits until it can be used.
    pub async fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.create_topic_with(topic, partitions, 1, configs).await;
    }

    /// Creates a topic with this many replicas and waits until every partition has a leader.
    pub async fn create_topic_with(
        &self,
        topic: &str,
        partitions: i32,
        replicas: i32,
        configs: &[(&str, &str)],
    ) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in configs {
            new = new.set(key, value);
        }
        wait_for(&format!("enough brokers for {topic}"), async || {
            let answer = self.admin().create_topics([&new], &options()).await;
            // A busy machine's broker may be late with its heartbeat, and not count for a moment.
            if let Ok([Err((_, code @ RDKafkaErrorCode::InvalidReplicationFactor))]) = answer.as_deref() {
                return Err(code.to_string());
            }
            self.done("create", topic, answer);
            Ok(())
        })
        .await;
        self.await_partitions(topic, partitions).await;
    }

    /// Deletes a topic and waits until it is gone from the metadata.
    pub async fn delete_topic(&self, topic: &str) {
        self.ask_to_delete_topic(topic).await;
        wait_for(&format!("{topic} to be gone"), async || {
            let topics = self.topics().await;
            if topics.contains_key(topic) { Err("still listed".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// [`Self::delete_topic`] without the wait: a mirror may create it again before anybody sees that it is gone.
    pub async fn ask_to_delete_topic(&self, topic: &str) {
        self.done("delete", topic, self.admin().delete_topics(&[topic], &options()).await);
    }

    /// Grows a topic to `total` partitions and waits until each has a leader.
    pub async fn add_partitions(&self, topic: &str, total: i32) {
        let count = usize::try_from(total).expect("a partition count is positive");
        let new = NewPartitions::new(topic, count);
        self.done("grow", topic, self.admin().create_partitions([&new], &options()).await);
        self.await_partitions(topic, total).await;
    }

    /// Sets one configuration entry of a topic; librdkafka's call puts all others back to their defaults.
    pub async fn set_topic_config(&self, topic: &str, key: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
        let answer = self.admin().alter_configs([&change], &options()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: alter {topic}: {error}", self.bootstrap));
        for outcome in answer {
            assert!(outcome.is_ok(), "{}: alter {topic}: {outcome:?}", self.bootstrap);
        }
    }

    /// Deletes the records of a partition before `offset`, as retention does: the log then starts there.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("the offset is valid");
        let answer = self.admin().delete_records(&list, &options()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: delete records: {error}", self.bootstrap));
        for element in answer.elements() {
            let failed = element.error();
            assert!(failed.is_ok(), "{}: delete records of {topic}-{partition}: {failed:?}", self.bootstrap);
        }
    }

    /// Names of all topics, internal ones included, with their partition counts.
    pub async fn topics(&self) -> BTreeMap<String, usize> {
        let client = self.clone();
        blocking(move || {
            client.insist("metadata", |consumer| {
                let metadata = consumer.fetch_metadata(None, TRY).map_err(|error| error.to_string())?;
                Ok(metadata.topics().iter().map(|t| (t.name().to_owned(), t.partitions().len())).collect())
            })
        })
        .await
    }

    /// Which broker leads a partition.
    pub async fn leader(&self, topic: &str, partition: i32) -> i32 {
        wait_for(&format!("{topic}-{partition} to have a leader"), async || {
            match self.leader_now(topic, partition).await? {
                Some(leader) if leader >= 0 => Ok(leader),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until the cluster has noticed that the partition's leader is gone: the next one then leads under a
    /// higher epoch. A broker that comes back before that may go on under the old one.
    pub async fn leaderless(&self, topic: &str, partition: i32) {
        wait_for(&format!("{topic}-{partition} to have no leader"), async || {
            match self.leader_now(topic, partition).await? {
                Some(leader) if leader >= 0 => Err(format!("broker {leader} leads")),
                _ => Ok(()),
            }
        })
        .await;
    }

    async fn leader_now(&self, topic: &str, partition: i32) -> Result<Option<i32>, String> {
        let (client, topic) = (self.clone(), topic.to_owned());
        blocking(move || {
            client.ask(|consumer| {
                let metadata =
                    consumer.fetch_metadata(Some(&topic), TRY).map_err(|error| error.to_string())?;
                let partitions = metadata.topics()[0].partitions();
                Ok(partitions.iter().find(|p| p.id() == partition).map(|p| p.leader()))
            })
        })
        .await
    }

    /// Log start and last stable offset of every partition, in order: the end, where no transaction is open. Waits for
    /// the topic, and while a leader is being elected.
    pub async fn offsets(&self, topic: &str) -> Vec<(i64, i64)> {
        let (client, topic) = (self.clone(), topic.to_owned());
        blocking(move || {
            client.insist(&format!("offsets of {topic}"), |consumer| {
                let metadata =
                    consumer.fetch_metadata(Some(&topic), TRY).map_err(|error| error.to_string())?;
                match metadata.topics()[0].partitions().len() {
                    0 => Err("there is no such topic".to_owned()),
                    partitions => (0..partitions).map(|p| watermarks(consumer, &topic, p)).collect(),
                }
            })
        })
        .await
    }

    /// The ends of [`Self::offsets`].
    pub async fn end_offsets(&self, topic: &str) -> Vec<i64> {
        self.offsets(topic).await.into_iter().map(|(_, end)| end).collect()
    }

    /// librdkafka's admin client.
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.build(&self.config())
    }

    async fn await_partitions(&self, topic: &str, count: i32) {
        wait_for(&format!("{topic} to have {count} partitions with leaders"), async || {
            let (client, name) = (self.clone(), topic.to_owned());
            let led = blocking(move || {
                client.ask(|consumer| {
                    let metadata =
                        consumer.fetch_metadata(Some(&name), TRY).map_err(|error| error.to_string())?;
                    Ok(metadata.topics()[0].partitions().iter().filter(|p| p.leader() >= 0).count())
                })
            })
            .await?;
            if i32::try_from(led) == Ok(count) {
                Ok(())
            } else {
                Err(format!("{led} partitions with leaders"))
            }
        })
        .await;
    }

    fn done(&self, what: &str, topic: &str, answer: Result<Vec<TopicResult>, KafkaError>) {
        match answer {
            Ok(results) => {
                for result in results {
                    assert!(result.is_ok(), "{}: {what} {topic}: {result:?}", self.bootstrap);
                }
            }
            Err(error) => panic!("{}: {what} {topic}: {error}", self.bootstrap),
        }
    }
}

/// Start and end of a partition.
pub(super) fn watermarks(
    consumer: &BaseConsumer,
    topic: &str,
    partition: usize,
) -> Result<(i64, i64), String> {
    let index = i32::try_from(partition).expect("a partition index is an i32");
    consumer.fetch_watermarks(topic, index, TRY).map_err(|error| format!("partition {partition}: {error}"))
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(CALL)).request_timeout(Some(CALL))
}
