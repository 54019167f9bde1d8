//! A cluster: its handle, shared by all, and the actor that keeps the handle's catalogue fresh.

mod actor;
mod batcher;
mod catalogue;
mod handle;
mod heartbeats;

pub use actor::ClusterActor;
pub use catalogue::{Catalogue, ClusterView, TopicEntry};
pub use handle::ClusterHandle;
