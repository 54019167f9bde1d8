//! A Kafka cluster in this process: brokers that listen on local ports, with logs in memory.
//!
//! It behaves as Kafka 4.3 does: `tests/kafka/conformance.rs` asks both the same questions. What it doesn't do it
//! doesn't offer: an API or version that is not in `api::OFFERED` ends as at a real broker, or is answered
//! UNSUPPORTED_VERSION. There are no transactions over the protocol and no members that join groups; tests bring both
//! about with a call.
//!
//! ```ignore
//! let cluster = FakeCluster::start().await;                       // one broker, id 1
//! let cluster = FakeCluster::builder().brokers(3).start().await;  // ids 1 to 3
//! cluster.create_topic("orders", 2, &[("cleanup.policy", "compact")]);
//! cluster.produce("orders", 0, &[("key", "value")]);              // one batch
//! cluster.records("orders", 0); cluster.end_offset("orders", 0);
//!
//! // What goes wrong:
//! cluster.fail(Fault::of(ApiKey::Fetch, ResponseError::NotLeaderOrFollower).on("orders").times(2));
//! let gate = cluster.hold(ApiKey::Produce);                       // held until gate.open(), or it is dropped
//! cluster.intercept(ApiKey::Fetch, |request| Some(Reply::Close)); // None: answered as always
//! cluster.move_leader("orders", 0, 2); cluster.stop_broker(1); cluster.start_broker(1).await;
//! cluster.delete_topic("orders"); cluster.deny_topic("orders", &[Right::Write]);
//! cluster.set_group_members("billing", 2); cluster.throttle(ApiKey::Fetch, Duration::from_secs(1));
//!
//! // What was asked:
//! cluster.await_count(ApiKey::OffsetCommit, 3).await;             // no sleeping
//! ```
//!
//! - `cluster` starts it, `contents` fills it and looks at it, `controls` is what goes wrong on purpose, `requests` what
//!   was asked.
//! - `connection` reads requests and writes answers, `api/` has a file for each call.
//! - `state` is what the brokers share: `topics`, `log`, `producers`, `groups`, `sessions`, `configs`, `rights`.

mod api;
mod cluster;
mod configs;
mod connection;
mod contents;
mod controls;
mod groups;
mod log;
mod producers;
mod requests;
mod rights;
mod sessions;
mod state;
mod topics;

pub(crate) use api::OFFERED;
pub(crate) use cluster::{Builder, FakeCluster, Stream, Wrapped};
pub(crate) use configs::topic_defaults;
pub(crate) use controls::{Fault, Gate};
pub(crate) use requests::{Reply, Request};
pub(crate) use rights::Right;
