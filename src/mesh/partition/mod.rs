//! A source partition of a flow: a thin shell around [`crate::replicator::partition::PartitionMachine`].

mod actor;
mod effects;
mod lag;
mod old_format;
mod resolve;
mod tail;

pub(super) use actor::{PartitionActor, PartitionArguments};
