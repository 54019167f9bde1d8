//! Reading and changing configuration of topics; reading that of brokers.

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiKey, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    alter_configs_request, incremental_alter_configs_request,
};

use super::call::Call;
use super::client::Wire;
use super::error::{WireError, WireErrorKind};
use super::names::text;
use super::pool::Purpose;
use crate::model::{ConfigEntry, ConfigSource, TopicName};

/// The numbers of configuration resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// The numbers of incremental changes.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// The source with this number; brokers may have more.
fn source(number: i8) -> ConfigSource {
    match number {
        1 => ConfigSource::Topic,
        2 => ConfigSource::DynamicBroker,
        3 => ConfigSource::DynamicDefaultBroker,
        4 => ConfigSource::StaticBroker,
        5 => ConfigSource::Default,
        _ => ConfigSource::Unknown,
    }
}

/// A change of one configuration entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets an entry.
    Set(String, String),
    /// Removes what is set, so that the default holds again.
    Delete(String),
}

impl Wire {
    /// Reads the configuration of topics, defaults included; each topic has its own error.
    pub async fn describe_topic_configs(
        &self,
        topics: &[TopicName],
    ) -> Result<Vec<(TopicName, Result<Vec<ConfigEntry>, WireError>)>, WireError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
        let results =
            self.call_any(|_, _| describe_request(TOPIC, &names), |answer| Ok(answer.results)).await?;
        let of_topic = |topic: &TopicName| {
            let result = results.iter().find(|result| result.resource_name.as_str() == topic.as_str());
            (topic.clone(), self.read_configs(result).map_err(|error| error.about(topic)))
        };
        Ok(topics.iter().map(of_topic).collect())
    }

    /// Reads the configuration of a broker, from that broker.
    pub async fn describe_broker_configs(&self, broker: i32) -> Result<Vec<ConfigEntry>, WireError> {
        let name = broker.to_string();
        let mut retry = self.retry();
        loop {
            let outcome = async {
                let connection = self.broker(broker, Purpose::Admin).await?;
                let request = |_| describe_request(BROKER, &[&name]);
                let answer = connection.call(retry.left(), request).await?;
                self.read_configs(answer.results.first()).map_err(|error| error.at(connection.broker()))
            };
            match outcome.await {
                Ok(entries) => return Ok(entries),
                Err(error) => {
                    let error = error.about(format!("broker {broker}"));
                    retry.pause_after(error).await?;
                }
            }
        }
    }

    /// Changes some entries of a topic's configuration and leaves the others as they are, or only asks whether it
    /// could be done. Brokers may tell the old values for a moment longer.
    ///
    /// Brokers before 2.3 know no incremental change: there the topic's own entries are read, changed and written
    /// back as a whole, so that a change made by somebody else in between is lost.
    pub async fn alter_topic_config(
        &self,
        topic: &TopicName,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), WireError> {
        let result = if self.supports(ApiKey::IncrementalAlterConfigs).await? {
            let build = |_, _: &_| incremental_request(topic, changes, validate_only);
            self.call_any(build, |answer| {
                let result = answer.responses.first();
                self.single_result(result.map(|result| (result.error_code, result.error_message.as_deref())))
            })
            .await
        } else {
            self.replace_topic_config(topic, changes, validate_only).await
        };
        result.map_err(|error| error.about(topic))
    }

    async fn replace_topic_config(
        &self,
        topic: &TopicName,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), WireError> {
        let described = self.describe_topic_configs(std::slice::from_ref(topic)).await?;
        let mut own = Vec::new();
        for (_, entries) in described {
            own.extend(entries?);
        }
        let merged = merge(&own, changes);
        let build = |_, _: &_| replace_request(topic, &merged, validate_only);
        self.call_any(build, |answer| {
            let result = answer.responses.first();
            self.single_result(result.map(|result| (result.error_code, result.error_message.as_deref())))
        })
        .await
    }

    fn read_configs(&self, result: Option<&DescribeConfigsResult>) -> Result<Vec<ConfigEntry>, WireError> {
        let error = match result {
            None => self.error(WireErrorKind::Protocol("the answer leaves out what was asked".to_owned())),
            Some(result) => match result.error_code.err() {
                None => return Ok(result.configs.iter().map(read_entry).collect()),
                Some(code) => self.refused(code, result.error_message.as_deref()),
            },
        };
        Err(error.during(DescribeConfigsRequest::NAME))
    }
}

fn read_entry(entry: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: entry.name.to_string(),
        value: entry.value.as_ref().map(|value| value.to_string()),
        read_only: entry.read_only,
        sensitive: entry.is_sensitive,
        source: source(entry.config_source),
    }
}

fn describe_request(kind: i8, names: &[&str]) -> DescribeConfigsRequest {
    let resources = names.iter().map(|name| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    });
    DescribeConfigsRequest::default().with_resources(resources.collect())
}

fn incremental_request(
    topic: &TopicName,
    changes: &[ConfigChange],
    validate_only: bool,
) -> IncrementalAlterConfigsRequest {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = changes.iter().map(|change| {
        let entry = AlterableConfig::default();
        match change {
            ConfigChange::Set(name, value) => {
                entry.with_name(text(name)).with_config_operation(SET).with_value(Some(text(value)))
            }
            ConfigChange::Delete(name) => {
                entry.with_name(text(name)).with_config_operation(DELETE).with_value(None)
            }
        }
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic.as_str()))
        .with_configs(configs.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only)
}

fn replace_request(
    topic: &TopicName,
    entries: &[(String, String)],
    validate_only: bool,
) -> AlterConfigsRequest {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = entries
        .iter()
        .map(|(name, value)| AlterableConfig::default().with_name(text(name)).with_value(Some(text(value))));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic.as_str()))
        .with_configs(configs.collect());
    AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only)
}

/// What a topic's own entries shall be: those it has, changed.
fn merge(current: &[ConfigEntry], changes: &[ConfigChange]) -> Vec<(String, String)> {
    let own = current.iter().filter(|entry| entry.source == ConfigSource::Topic);
    let mut merged: Vec<(String, String)> =
        own.filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?))).collect();
    for change in changes {
        let (ConfigChange::Set(name, _) | ConfigChange::Delete(name)) = change;
        merged.retain(|(other, _)| other != name);
        if let ConfigChange::Set(name, value) = change {
            merged.push((name.clone(), value.clone()));
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
        let (name, value) = (name.to_owned(), Some(value.to_owned()));
        ConfigEntry { name, value, read_only: false, sensitive: false, source }
    }

    #[test]
    fn merging_keeps_own_entries_and_drops_defaults() {
        let current = [
            entry("cleanup.policy", "compact", ConfigSource::Topic),
            entry("retention.ms", "1000", ConfigSource::Topic),
            entry("segment.bytes", "1073741824", ConfigSource::Default),
            entry("min.insync.replicas", "2", ConfigSource::StaticBroker),
        ];
        let changes = [
            ConfigChange::Set("retention.ms".into(), "2000".into()),
            ConfigChange::Set("segment.ms".into(), "5".into()),
            ConfigChange::Delete("cleanup.policy".into()),
            ConfigChange::Delete("flush.ms".into()),
        ];
        let merged = merge(&current, &changes);
        let expected = [("retention.ms", "2000"), ("segment.ms", "5")];
        assert_eq!(merged, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
