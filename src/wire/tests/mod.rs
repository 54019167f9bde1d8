//! The client against brokers made of a script, and against a fake cluster with logs.

mod fake_broker;
mod groups;
mod leaders;
mod link;
mod old_brokers;
mod producers;
mod records;
mod routing;
mod tls;
mod transport;

use crate::model::{Isolation, TopicName, TopicPartition};

/// Callers run these futures on other threads; that is checked when this compiles.
#[test]
fn every_call_can_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let wire = super::Wire::new("east".into(), &super::testing::settings("127.0.0.1:1")).unwrap();
    let (topic, partition): (TopicName, _) = ("orders".into(), TopicPartition::new("orders", 0));
    let new =
        super::NewTopic { name: topic.clone(), partitions: 1, replication_factor: 1, configs: Vec::new() };
    let range = super::FetchRange {
        partition: partition.clone(),
        offset: 0,
        max_bytes: 1,
        isolation: Isolation::ReadCommitted,
        max_wait: std::time::Duration::ZERO,
    };
    movable(wire.metadata(None));
    movable(wire.supports(super::ApiKey::Fetch));
    movable(wire.list_offsets(&[], Isolation::ReadCommitted));
    movable(wire.epoch_ends_once(&[]));
    movable(wire.create_topic(&new, false));
    movable(wire.create_partitions(&topic, 1));
    movable(wire.describe_topic_configs(&[]));
    movable(wire.describe_broker_configs(1));
    movable(wire.alter_topic_config(&topic, &[], false));
    movable(wire.fetch(&range));
    movable(wire.produce(&partition, &[], crate::model::Codec::None));
    movable(wire.init_producer_id());
    movable(wire.describe_producers(&[]));
    movable(wire.learn_leaders(&[]));
    movable(wire.link(1));
    let fetch = |link: super::Link| async move {
        link.fetch(std::time::Duration::ZERO, |_| kafka_protocol::messages::FetchRequest::default()).await
    };
    let produce =
        |link: super::Link| async move { link.produce(super::ProduceParts::default()).await?.answer().await };
    fn returns_movable<F: Future + Send>(_: impl Fn(super::Link) -> F) {}
    returns_movable(fetch);
    returns_movable(produce);
    movable(wire.topic_rights(&[]));
    movable(wire.cluster_rights());
    movable(wire.list_groups());
    movable(wire.committed_offsets(&[], true));
    movable(wire.commit_offsets(Vec::new()));
    movable(wire.close());
    movable(wire);
}
