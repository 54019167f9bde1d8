//! Our own connection against real brokers.

mod admin;
mod groups;
mod link;
mod offsets;
mod records;
mod security;

use std::time::Duration;

use mirrormesh::config::client::ClientSettings;
use mirrormesh::model::TopicName;
use mirrormesh::wire::{NewTopic, Wire};

/// Plaintext settings.
fn settings(bootstrap: &str) -> ClientSettings {
    ClientSettings {
        bootstrap: bootstrap.split(',').map(str::to_owned).collect(),
        client_id: "mirrormesh".to_owned(),
        rack: None,
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_millis(500),
        rdkafka_consumer: Vec::new(),
        rdkafka_producer: Vec::new(),
    }
}

/// A plaintext client.
pub(crate) fn wire(bootstrap: &str) -> Wire {
    Wire::new("east".into(), &settings(bootstrap)).unwrap()
}

/// A topic with the broker's default replication.
fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NewTopic { name: TopicName::from(name), partitions, replication_factor: -1, configs }
}
