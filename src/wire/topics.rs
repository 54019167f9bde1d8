//! Making topics and giving them more partitions.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest};

use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::{kafka_topic, text};
use super::retry::Retry;
use crate::model::TopicName;

/// From this version on brokers take replication factor −1 for "your default" (KIP-464, Kafka 2.4).
const DEFAULT_REPLICAS_SINCE: i16 = 4;

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: i32,
    /// Copies of each; −1 for the broker's default.
    pub replication_factor: i16,
    /// Configuration entries.
    pub configs: Vec<(String, String)>,
}

impl Wire {
    /// Creates a topic, or only asks whether it could be.
    ///
    /// Returns once the metadata shows the topic with a leader for every partition (at the latest when
    /// `request_timeout` is over). Fails with [`WireError::is_already_there`] if it exists. −1 replicas are asked
    /// of a broker's `default.replication.factor` where brokers don't take −1 (before 2.4).
    pub async fn create_topic(&self, new: &NewTopic, validate_only: bool) -> Result<(), WireError> {
        let replicas = self.replication_factor(new).await.map_err(|error| error.about(&new.name))?;
        let build = |_, retry: &Retry| create_topics_request(new, replicas, validate_only, retry);
        self.call_controller(build, |answer| {
            let result = answer.topics.iter().find(|topic| topic.name.as_str() == new.name.as_str());
            let result = result.map(|topic| (topic.error_code, topic.error_message.as_deref()));
            self.single_result(result)
        })
        .await
        .map_err(|error| error.about(&new.name))?;
        if !validate_only {
            self.await_partitions(&new.name, new.partitions).await;
        }
        Ok(())
    }

    /// Gives a topic more partitions: `total` is how many it shall have then.
    ///
    /// Returns once the metadata shows them with their leaders (at the latest when `request_timeout` is over).
    pub async fn create_partitions(&self, topic: &TopicName, total: i32) -> Result<(), WireError> {
        let build = |_, retry: &Retry| {
            let entry = CreatePartitionsTopic::default()
                .with_name(kafka_topic(topic))
                .with_count(total)
                .with_assignments(None);
            CreatePartitionsRequest::default()
                .with_topics(vec![entry])
                .with_timeout_ms(retry.left_for_broker_ms())
        };
        self.call_controller(build, |answer| {
            let result = answer.results.iter().find(|result| result.name.as_str() == topic.as_str());
            let result = result.map(|result| (result.error_code, result.error_message.as_deref()));
            self.single_result(result)
        })
        .await
        .map_err(|error| error.about(topic))?;
        self.await_partitions(topic, total).await;
        Ok(())
    }

    async fn replication_factor(&self, new: &NewTopic) -> Result<i16, WireError> {
        if new.replication_factor != -1 {
            return Ok(new.replication_factor);
        }
        let connection = self.any().await?;
        match connection.offered().best::<CreateTopicsRequest>() {
            Some(version) if version < DEFAULT_REPLICAS_SINCE => {}
            _ => return Ok(-1),
        }
        let metadata = self.metadata(Some(&[])).await?;
        let Some(broker) = metadata.brokers.first() else {
            return Err(self.error(WireErrorKind::Protocol("the metadata names no broker".to_owned())));
        };
        let configs = self.describe_broker_configs(broker.id).await?;
        let default = configs.iter().find(|entry| entry.name == "default.replication.factor");
        let default = default.and_then(|entry| entry.value.as_deref()?.parse().ok());
        default.ok_or_else(|| {
            self.error(WireErrorKind::Unsupported(
                "this broker takes no default replication factor and doesn't tell its own; set a number"
                    .to_owned(),
            ))
        })
    }

    /// The outcome of a request about one thing.
    pub(super) fn single_result(&self, result: Option<(i16, Option<&str>)>) -> Result<(), WireError> {
        let Some((code, message)) = result else {
            let detail = "the answer leaves out what was asked".to_owned();
            return Err(self.error(WireErrorKind::Protocol(detail)));
        };
        match code.err() {
            None => Ok(()),
            // Kafka calls it retriable; here it says what the topic is, and won't change by asking again.
            Some(code @ ResponseError::UnknownTopicOrPartition) => Err(self.refused(code, message).settle()),
            Some(code) => Err(self.refused(code, message)),
        }
    }

    /// Waits until the metadata shows what the controller has promised: brokers learn of it a moment later. That
    /// it takes long is no failure of the call.
    async fn await_partitions(&self, topic: &TopicName, total: i32) {
        let mut retry = self.retry();
        loop {
            let seen = self.metadata(Some(std::slice::from_ref(topic))).await;
            let led = seen.map(|metadata| {
                let partitions = metadata.topics.into_iter().flat_map(|topic| topic.partitions);
                partitions.filter(|partition| partition.leader.is_some()).count()
            });
            let error = match led {
                Ok(led) if i32::try_from(led).is_ok_and(|led| led >= total) => return,
                Ok(_) => self.refused(ResponseError::LeaderNotAvailable, None).about(topic),
                Err(error) => error,
            };
            if let Err(error) = retry.pause_after(error).await {
                tracing::warn!(target: crate::wire::LOG, cluster = %self.alias(), %topic, %error, "new partitions are not visible yet");
                return;
            }
        }
    }
}

fn create_topics_request(
    new: &NewTopic,
    replicas: i16,
    validate_only: bool,
    retry: &Retry,
) -> CreateTopicsRequest {
    let configs = new.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(kafka_topic(&new.name))
        .with_num_partitions(new.partitions)
        .with_replication_factor(replicas)
        .with_configs(configs.collect());
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(retry.left_for_broker_ms())
        .with_validate_only(validate_only)
}
