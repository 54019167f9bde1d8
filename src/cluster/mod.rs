//! What is known of a cluster, shared by all who ask it: its catalogue, the ends of its partitions, its upstreams.
//!
//! The handle outlives the actor that keeps it fresh (in `mesh`). Questions of many partitions share requests.

mod batcher;
mod catalogue;
mod configs;
mod handle;
mod heartbeats;

pub use catalogue::{Catalogue, ClusterView, TopicEntry};
pub use configs::{Described, describe};
pub use handle::{ClusterHandle, Ends};
pub use heartbeats::monitor as monitor_heartbeats;

/// The target of this room's log lines, for filters such as `mirrormesh::cluster=debug`.
pub(crate) const LOG: &str = "mirrormesh::cluster";
