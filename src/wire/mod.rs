//! Our own Kafka connection: framing, TLS, SASL, version negotiation, metadata, admin calls, simple fetch and produce.
//!
//! [`Wire`] is the client of one cluster. Below it: `client` finds the responsible broker and retries, `pool` keeps
//! the connections, `dial` makes them (`tls`, `sasl`), `connection` runs requests over one. Above it, one file per
//! group of calls: `metadata`, `offsets`, `topics`, `configs`, `fetch`, `produce`, `rights`. A further call is a
//! line in `call` and a method in such a file.

mod call;
mod client;
mod configs;
mod connection;
mod dial;
mod error;
mod fetch;
mod frame;
mod hostname;
mod metadata;
mod names;
mod offsets;
mod pool;
mod produce;
mod retry;
mod rights;
mod routing;
mod sasl;
mod tls;
mod topics;
mod view;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use client::Wire;
pub use configs::{ConfigChange, ConfigEntry, ConfigSource};
pub use error::{WireError, WireErrorKind};
pub use fetch::{FetchRange, FetchedRecords};
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
pub use metadata::{BrokerInfo, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub use offsets::{EpochEnd, EpochQuery, ListedOffset, OffsetSpec};
pub use produce::{NewRecord, Produced};
pub use rights::{ClusterRights, TopicRights};
pub use topics::NewTopic;
