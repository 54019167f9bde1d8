//! Our own Kafka connection: framing, TLS, SASL, version negotiation, metadata, admin calls, simple fetch and produce.
//!
//! [`Wire`] is the client of one cluster. Below it: `client` finds the responsible broker and retries, `pool` keeps
//! the connections, `dial` makes them (`tls`, `sasl`), `connection` runs requests over one and `serve` moves their
//! bytes (`frame`, `buffers`, `chunks`, `encoding`). Above it, one file per group of calls: `metadata`, `leaders`,
//! `offsets`, `topics`, `configs`, `fetch`, `produce`, `producers`, `rights`, `groups`. A further call is a line in `call` and
//! a method in such a file.
//!
//! [`Link`] is a connection of its owner's own, for the loops that move batches unopened: answers are read into
//! recycled memory, and batches written from where they are (`produce_frame`).

mod buffers;
mod call;
mod chunks;
mod client;
mod configs;
mod connection;
mod dial;
mod encoding;
mod error;
mod fetch;
mod frame;
mod groups;
mod hostname;
mod leaders;
mod link;
mod metadata;
mod names;
mod offsets;
mod pool;
mod produce;
mod produce_frame;
mod producers;
mod retry;
mod rights;
mod routing;
mod sasl;
mod serve;
mod throttling;
mod tls;
mod topics;
mod view;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use client::Wire;
pub use configs::ConfigChange;
pub use error::{WireError, WireErrorKind};
pub use fetch::{FetchRange, FetchedRecords};
pub use groups::{CommitOutcome, CommittedOffset, GroupCommit, GroupKind, GroupListing, ListedGroup};
pub use kafka_protocol::error::ResponseError;
pub use kafka_protocol::messages::ApiKey;
pub use link::{Link, PendingProduce};
pub use metadata::{BrokerInfo, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub use offsets::{EpochQuery, ListedOffset, OffsetSpec};
pub use produce::{NewRecord, Produced};
pub use produce_frame::{PartitionPart, ProduceParts};
pub use producers::ActiveProducer;
pub(crate) use retry::Retry;
pub use rights::{ClusterRights, TopicRights};
pub use topics::NewTopic;
pub use view::Leader;

/// The target of this room's log lines, for filters such as `mirrormesh::wire=debug`.
pub(crate) const LOG: &str = "mirrormesh::wire";
