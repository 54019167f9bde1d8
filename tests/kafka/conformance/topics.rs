//! Topics: made, grown, deleted, and those that aren't there.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};

use super::Subject;
use super::raw::{Raw, no_id, text};
use crate::common::wait_for;
use crate::wire::new_topic;

const UNKNOWN_TOPIC: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const TOPIC_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION: i16 = 38;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;

fn asked(name: &str, partitions: i32, replicas: i16, configs: &[(&str, &str)]) -> CreatableTopic {
    let configs = configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    });
    CreatableTopic::default()
        .with_name(text(name).into())
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
        .with_configs(configs.collect())
}

async fn create(raw: &mut Raw, topics: Vec<CreatableTopic>, validate_only: bool) -> Vec<i16> {
    let asked = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(30_000)
        .with_validate_only(validate_only);
    raw.ask(7, &asked).await.topics.iter().map(|topic| topic.error_code).collect()
}

/// A topic's error, and its partitions' leaders.
async fn seen(raw: &mut Raw, name: &str) -> (i16, Vec<i32>) {
    let topic = MetadataRequestTopic::default().with_name(Some(text(name).into()));
    let asked =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    let answer = raw.ask(12, &asked).await;
    let topic = &answer.topics[0];
    assert_eq!(topic.name.as_ref().unwrap().as_str(), name);
    (topic.error_code, topic.partitions.iter().map(|partition| partition.leader_id.0).collect())
}

pub(super) async fn what_does_not_exist_is_unknown(subject: &Subject) {
    let mut raw = subject.raw().await;
    assert_eq!(seen(&mut raw, &subject.name("missing")).await, (UNKNOWN_TOPIC, vec![]));
    assert_eq!(seen(&mut raw, "not a name").await, (INVALID_TOPIC, vec![]));
    let by_id = MetadataRequestTopic::default().with_topic_id(no_id()).with_name(None);
    let answer = raw.ask(12, &MetadataRequest::default().with_topics(Some(vec![by_id]))).await;
    let topic = &answer.topics[0];
    assert_eq!((topic.error_code, &topic.name, topic.topic_id), (UNKNOWN_TOPIC_ID, &None, no_id()));
}

pub(super) async fn a_topic_is_made_as_asked(subject: &Subject) {
    let (mut raw, name) = (subject.raw().await, subject.name("made"));
    let topic = asked(&name, 3, 1, &[("cleanup.policy", "compact"), ("retention.ms", "-1")]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let answer = raw.ask(7, &request).await;
    let made = &answer.topics[0];
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (0, 3, 1));
    let config = |name: &str| {
        let configs = made.configs.as_ref().unwrap();
        let found = configs.iter().find(|config| config.name.as_str() == name).unwrap();
        (found.value.as_ref().unwrap().to_string(), found.config_source)
    };
    assert_eq!(config("cleanup.policy"), ("compact".to_owned(), 1));
    assert_eq!(config("retention.ms"), ("-1".to_owned(), 1));
    assert_eq!(config("segment.ms"), ("604800000".to_owned(), 5));
    wait_for("the topic to be seen", async || match seen(&mut raw, &name).await {
        (0, leaders) if leaders == [1, 1, 1] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let metadata = subject.wire.metadata(Some(&[name.as_str().into()])).await.unwrap();
    let topic = &metadata.topics[0];
    assert_eq!((topic.id.0, topic.internal), (made.topic_id, false));
    for (index, partition) in (0..).zip(&topic.partitions) {
        assert_eq!((partition.index, partition.leader_epoch), (index, 0));
        assert_eq!((&partition.replicas[..], &partition.isr[..]), (&[1][..], &[1][..]));
    }
    // The broker's own numbers.
    let other = subject.name("default");
    assert_eq!(create(&mut raw, vec![asked(&other, -1, -1, &[])], false).await, [0]);
}

pub(super) async fn what_can_not_be_made_is_refused(subject: &Subject) {
    let (mut raw, there) = (subject.raw().await, subject.topic(1, &[]).await);
    let name = subject.name("refused");
    let cases = [
        (asked(&there, 1, 1, &[]), TOPIC_EXISTS),
        (asked("not a name", 1, 1, &[]), INVALID_TOPIC),
        (asked("..", 1, 1, &[]), INVALID_TOPIC),
        (asked(&"x".repeat(250), 1, 1, &[]), INVALID_TOPIC),
        (asked(&name, 0, 1, &[]), INVALID_PARTITIONS),
        (asked(&name, -2, 1, &[]), INVALID_PARTITIONS),
        (asked(&name, 1, 2, &[]), INVALID_REPLICATION),
        (asked(&name, 1, 0, &[]), INVALID_REPLICATION),
        (asked(&name, 1, 1, &[("no.such.key", "1")]), INVALID_CONFIG),
        (asked(&name, 1, 1, &[("retention.ms", "soon")]), INVALID_CONFIG),
        (asked(&name, 1, 1, &[("cleanup.policy", "shred")]), INVALID_CONFIG),
        (asked(&name, 1, 1, &[("min.cleanable.dirty.ratio", "2")]), INVALID_CONFIG),
        (asked(&name, 1, 1, &[("preallocate", "perhaps")]), INVALID_CONFIG),
        (asked(&name, 1, 1, &[("segment.bytes", "1048575")]), INVALID_CONFIG),
    ];
    for (topic, code) in cases {
        let shown = format!("{topic:?}");
        assert_eq!(create(&mut raw, vec![topic], false).await, [code], "{shown}");
    }
    let twice = vec![asked(&name, 1, 1, &[]), asked(&name, 1, 1, &[])];
    let codes = create(&mut raw, twice, false).await;
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == INVALID_REQUEST), "{codes:?}");
    assert_eq!(seen(&mut raw, &name).await.0, UNKNOWN_TOPIC);
}

pub(super) async fn a_topic_that_is_only_checked_is_not_made(subject: &Subject) {
    let (mut raw, name) = (subject.raw().await, subject.name("checked"));
    assert_eq!(create(&mut raw, vec![asked(&name, 2, 1, &[])], true).await, [0]);
    assert_eq!(create(&mut raw, vec![asked(&name, 2, 9, &[])], true).await, [INVALID_REPLICATION]);
    // Were it made, this would be refused.
    assert_eq!(create(&mut raw, vec![asked(&name, 2, 1, &[])], false).await, [0]);
}

pub(super) async fn a_topic_grows_and_never_shrinks(subject: &Subject) {
    let (mut raw, name) = (subject.raw().await, subject.topic(2, &[]).await);
    let missing = subject.name("missing");
    let mut grow = async |name: &str, total, validate_only| {
        let topic = CreatePartitionsTopic::default()
            .with_name(text(name).into())
            .with_count(total)
            .with_assignments(None);
        let asked = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000)
            .with_validate_only(validate_only);
        let answer = raw.ask(3, &asked).await;
        answer.results[0].error_code
    };
    assert_eq!(grow(&name, 1, false).await, INVALID_PARTITIONS);
    assert_eq!(grow(&name, 2, false).await, INVALID_PARTITIONS);
    assert_eq!(grow(&missing, 2, false).await, UNKNOWN_TOPIC);
    assert_eq!(grow(&name, 5, true).await, 0);
    subject.wire.create_partitions(&name.as_str().into(), 4).await.unwrap();
    let mut raw = subject.raw().await;
    assert_eq!(seen(&mut raw, &name).await, (0, vec![1; 4]));
}

pub(super) async fn a_topic_made_anew_has_another_id(subject: &Subject) {
    let (mut raw, name) = (subject.raw().await, subject.topic(1, &[]).await);
    subject.write(&name, 0, &["a"]).await;
    let id = async || {
        let metadata = subject.wire.metadata(Some(&[name.as_str().into()])).await.unwrap();
        metadata.topics[0].id
    };
    let before = id().await;
    let by_name = |name: &str| DeleteTopicState::default().with_name(Some(text(name).into()));
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(no_id());
    let missing = subject.name("missing");
    let topics = vec![by_name(&name), by_name(&missing), by_id];
    let answer =
        raw.ask(6, &DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(30_000)).await;
    let code = |name: Option<&str>| {
        let named = |found: &&kafka_protocol::messages::delete_topics_response::DeletableTopicResult| {
            found.name.as_ref().map(|name| name.as_str()) == name
        };
        let found = answer.responses.iter().find(named).unwrap();
        (found.error_code, found.topic_id)
    };
    assert_eq!(code(Some(&name)), (0, before.0));
    assert_eq!(code(Some(&missing)).0, UNKNOWN_TOPIC);
    assert_eq!(code(None), (UNKNOWN_TOPIC_ID, no_id()));
    wait_for("the topic to be gone", async || match seen(&mut raw, &name).await {
        (UNKNOWN_TOPIC, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    subject.wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    subject.led(&name, 1).await;
    assert_ne!(id().await, before);
    assert_eq!(subject.write(&name, 0, &["a"]).await, 0);
}
