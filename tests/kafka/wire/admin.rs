//! Metadata, topics and their configuration.

use mirrormesh::model::{ConfigEntry, ConfigSource};
use mirrormesh::wire::{ApiKey, ConfigChange, ResponseError, Wire};

use super::{new_topic, wire};
use crate::common::{pair, topic, wait_for};

async fn config(wire: &Wire, topic: &str, name: &str) -> ConfigEntry {
    let described = wire.describe_topic_configs(&[topic.into()]).await.unwrap();
    let entries = described.into_iter().next().unwrap().1.unwrap();
    entries.into_iter().find(|entry| entry.name == name).unwrap()
}

#[tokio::test]
async fn a_topic_is_created_seen_grown_and_made_anew() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let name = topic("created");
    let new = new_topic(&name, 2, &[("cleanup.policy", "compact")]);
    wire.create_topic(&new, true).await.unwrap();
    let metadata = wire.metadata(Some(std::slice::from_ref(&new.name))).await.unwrap();
    assert!(metadata.topics[0].error.as_ref().unwrap().is_unknown_topic());
    assert_eq!(metadata.cluster_id.unwrap().as_str(), east.id());

    wire.create_topic(&new, false).await.unwrap();
    let error = wire.create_topic(&new, false).await.unwrap_err();
    assert!(error.is_already_there() && error.to_string().contains(&name), "{error}");

    let metadata = wire.metadata(None).await.unwrap();
    assert_eq!(metadata.brokers.len(), east.brokers().len());
    assert!(metadata.controller.is_some());
    let seen = metadata.topics.iter().find(|topic| topic.name == new.name).unwrap();
    assert!(seen.id.is_known() && seen.error.is_none() && !seen.internal);
    for (index, partition) in (0..).zip(&seen.partitions) {
        assert_eq!((partition.index, partition.leader), (index, Some(1)));
        assert_eq!((partition.replicas.as_slice(), partition.isr.as_slice()), (&[1][..], &[1][..]));
        assert!(partition.leader_epoch >= 0 && partition.error.is_none());
    }

    wire.create_partitions(&new.name, 5).await.unwrap();
    let grown = wire.metadata(Some(std::slice::from_ref(&new.name))).await.unwrap();
    assert_eq!(grown.topics[0].partitions.len(), 5);
    assert_eq!(grown.topics[0].id, seen.id);
    let error = wire.create_partitions(&new.name, 3).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::InvalidPartitions));

    east.client().delete_topic(&name).await;
    wire.create_topic(&new, false).await.unwrap();
    let anew = wire.metadata(Some(std::slice::from_ref(&new.name))).await.unwrap();
    assert!(anew.topics[0].id.differs_from(seen.id));
}

#[tokio::test]
async fn what_a_broker_refuses_is_told_in_its_words() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("refused");
    let error = wire.create_topic(&new_topic(&name, 1, &[("no.such.key", "1")]), false).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::InvalidConfig));
    assert!(
        error.to_string().contains("no.such.key") && error.to_string().contains("cluster `east`"),
        "{error}"
    );
    let mut new = new_topic(&name, 1, &[]);
    new.replication_factor = 3;
    let error = wire.create_topic(&new, false).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::InvalidReplicationFactor));
    let error = wire.create_partitions(&name.as_str().into(), 2).await.unwrap_err();
    assert!(error.is_unknown_topic(), "{error}");
}

#[tokio::test]
async fn configuration_is_set_validated_and_taken_back() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("configured");
    wire.create_topic(&new_topic(&name, 1, &[("retention.ms", "1000000")]), false).await.unwrap();
    let retention = config(&wire, &name, "retention.ms").await;
    assert_eq!((retention.value.as_deref(), retention.source), (Some("1000000"), ConfigSource::Topic));
    let policy = config(&wire, &name, "cleanup.policy").await;
    assert_eq!((policy.value.as_deref(), policy.source), (Some("delete"), ConfigSource::Default));
    assert!(!policy.read_only && !policy.sensitive);

    let set = |key: &str, value: &str| ConfigChange::Set(key.to_owned(), value.to_owned());
    let id = name.as_str().into();
    wire.alter_topic_config(&id, &[set("cleanup.policy", "compact")], true).await.unwrap();
    assert_eq!(config(&wire, &name, "cleanup.policy").await, policy);
    let changes = [set("cleanup.policy", "compact"), ConfigChange::Delete("retention.ms".to_owned())];
    wire.alter_topic_config(&id, &changes, false).await.unwrap();
    let policy = wait_for("the change to be told", async || {
        let policy = config(&wire, &name, "cleanup.policy").await;
        if policy.source == ConfigSource::Topic { Ok(policy) } else { Err(format!("{policy:?}")) }
    })
    .await;
    assert_eq!(policy.value.as_deref(), Some("compact"));
    assert_ne!(config(&wire, &name, "retention.ms").await.source, ConfigSource::Topic);

    let error = wire.alter_topic_config(&id, &[set("retention.ms", "soon")], false).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::InvalidConfig));
    let missing = wire.describe_topic_configs(&[topic("missing").into(), id]).await.unwrap();
    assert!(missing[0].1.as_ref().unwrap_err().is_unknown_topic());
    assert!(missing[1].1.is_ok());
}

#[tokio::test]
async fn a_broker_tells_its_own_configuration() {
    let wire = wire(pair().await.east.bootstrap());
    let entries = wire.describe_broker_configs(1).await.unwrap();
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(entry("auto.create.topics.enable").value.as_deref(), Some("false"));
    assert_eq!(entry("auto.create.topics.enable").source, ConfigSource::StaticBroker);
    assert_eq!(entry("default.replication.factor").value.as_deref(), Some("1"));
    assert!(wire.supports(ApiKey::IncrementalAlterConfigs).await.unwrap());
}
