//! Configuration: read and changed.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::Subject;
use super::raw::{Raw, text};
use crate::common::wait_for;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const UNKNOWN_TOPIC: i16 = 3;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Name, value, source and kind of entries.
type Entries = Vec<(String, String, i8, i8)>;

async fn describe(raw: &mut Raw, kind: i8, name: &str, keys: Option<&[&str]>) -> Result<Entries, i16> {
    let keys = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys);
    let answer = raw.ask(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await;
    let result = &answer.results[0];
    if result.error_code != 0 {
        return Err(result.error_code);
    }
    let entries = result.configs.iter().map(|entry| {
        let value = entry.value.as_ref().map(|value| value.to_string()).unwrap_or_default();
        (entry.name.to_string(), value, entry.config_source, entry.config_type)
    });
    Ok(entries.collect())
}

async fn alter(raw: &mut Raw, topic: &str, changes: &[(&str, i8, Option<&str>)], validate_only: bool) -> i16 {
    let configs = changes.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(configs.collect());
    let asked = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    raw.ask(1, &asked).await.responses[0].error_code
}

/// Waits until a topic's key has this value and source; brokers learn of a change a moment later.
async fn await_value(raw: &mut Raw, topic: &str, key: &str, value: &str, source: i8) {
    wait_for("the change to be told", async || {
        let entries = describe(raw, TOPIC, topic, Some(&[key])).await.unwrap();
        match &entries[..] {
            [(_, told, from, _)] if (told.as_str(), *from) == (value, source) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

pub(super) async fn defaults_and_sources_are_told(subject: &Subject) {
    let mut raw = subject.raw().await;
    let topic = subject.topic(1, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000000")]).await;
    let told = describe(&mut raw, TOPIC, &topic, None).await.unwrap();
    let expected: [(&str, &str, i8, i8); 13] = [
        ("cleanup.policy", "compact", 1, 7),
        ("compression.type", "producer", 5, 2),
        ("delete.retention.ms", "86400000", 5, 5),
        ("max.compaction.lag.ms", "9223372036854775807", 5, 5),
        ("max.message.bytes", "2000000", 1, 3),
        ("message.timestamp.after.max.ms", "3600000", 5, 5),
        ("message.timestamp.before.max.ms", "9223372036854775807", 5, 5),
        ("message.timestamp.type", "CreateTime", 5, 2),
        ("min.cleanable.dirty.ratio", "0.5", 5, 6),
        ("preallocate", "false", 5, 1),
        ("retention.bytes", "-1", 5, 5),
        ("segment.bytes", "1073741824", 5, 3),
        ("unclean.leader.election.enable", "false", 5, 1),
    ];
    for (name, value, source, kind) in expected {
        let entry = told.iter().find(|entry| entry.0 == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(entry, &(name.to_owned(), value.to_owned(), source, kind));
    }
    // Every key that the fake cluster has, Kafka has with the same default.
    for key in crate::fake::topic_defaults() {
        let entry = told.iter().find(|entry| entry.0 == key.0).unwrap_or_else(|| panic!("no {}", key.0));
        // But for what the topic, or the broker's own file says.
        assert!([1, 4].contains(&entry.2) || entry.1 == key.1, "{entry:?}, not {}", key.1);
    }
    let error = describe(&mut raw, TOPIC, &subject.name("missing"), None).await.unwrap_err();
    assert_eq!(error, UNKNOWN_TOPIC);
}

pub(super) async fn some_keys_are_told_where_some_are_asked(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let told = describe(&mut raw, TOPIC, &topic, Some(&["segment.ms", "no.such.key"])).await.unwrap();
    assert_eq!(told, [("segment.ms".to_owned(), "604800000".to_owned(), 5, 5)]);
    let told = describe(&mut raw, BROKER, "1", Some(&["message.max.bytes"])).await.unwrap();
    assert_eq!(told, [("message.max.bytes".to_owned(), "1048588".to_owned(), 5, 3)]);
    assert_eq!(describe(&mut raw, BROKER, "9", None).await.unwrap_err(), INVALID_REQUEST);
}

pub(super) async fn entries_are_set_and_removed(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[("delete.retention.ms", "1000")]).await);
    let changes = [("delete.retention.ms", SET, Some("2000")), ("segment.ms", SET, Some("5000"))];
    assert_eq!(alter(&mut raw, &topic, &changes, false).await, 0);
    await_value(&mut raw, &topic, "delete.retention.ms", "2000", 1).await;
    await_value(&mut raw, &topic, "segment.ms", "5000", 1).await;
    assert_eq!(alter(&mut raw, &topic, &[("delete.retention.ms", DELETE, None)], false).await, 0);
    await_value(&mut raw, &topic, "delete.retention.ms", "86400000", 5).await;
    await_value(&mut raw, &topic, "segment.ms", "5000", 1).await;
}

pub(super) async fn lists_are_added_to_and_taken_from(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    assert_eq!(alter(&mut raw, &topic, &[("cleanup.policy", APPEND, Some("compact"))], false).await, 0);
    await_value(&mut raw, &topic, "cleanup.policy", "delete,compact", 1).await;
    assert_eq!(alter(&mut raw, &topic, &[("cleanup.policy", SUBTRACT, Some("delete"))], false).await, 0);
    await_value(&mut raw, &topic, "cleanup.policy", "compact", 1).await;
    assert_eq!(alter(&mut raw, &topic, &[("retention.ms", APPEND, Some("1"))], false).await, INVALID_CONFIG);
}

pub(super) async fn what_is_wrong_changes_nothing(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let good = ("segment.ms", SET, Some("5000"));
    for bad in [
        ("no.such.key", SET, Some("1")),
        ("retention.ms", SET, Some("soon")),
        ("segment.bytes", SET, Some("1")),
        ("cleanup.policy", SET, Some("shred")),
        ("retention.ms", SET, None),
    ] {
        let code = alter(&mut raw, &topic, &[good, bad], false).await;
        let expected = if bad.2.is_none() { INVALID_REQUEST } else { INVALID_CONFIG };
        assert_eq!(code, expected, "{bad:?}");
    }
    assert_eq!(alter(&mut raw, &topic, &[good], true).await, 0);
    let missing = subject.name("missing");
    assert_eq!(alter(&mut raw, &missing, &[good], false).await, UNKNOWN_TOPIC);
    // Something that is told last shows that nothing else was.
    assert_eq!(alter(&mut raw, &topic, &[("retention.ms", SET, Some("1"))], false).await, 0);
    await_value(&mut raw, &topic, "retention.ms", "1", 1).await;
    await_value(&mut raw, &topic, "segment.ms", "604800000", 5).await;
}
