//! Our own connection against real brokers.

mod admin;
mod groups;
mod link;
mod offsets;
mod records;
mod security;

use mirrormesh::model::TopicName;
use mirrormesh::wire::{NewTopic, Wire};

use crate::common::wire_settings as settings;

/// A plaintext client.
pub(crate) fn wire(bootstrap: &str) -> Wire {
    Wire::new("east".into(), &settings(bootstrap)).unwrap()
}

/// A topic with the broker's default replication.
pub(crate) fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NewTopic { name: TopicName::from(name), partitions, replication_factor: -1, configs }
}
