//! A flow: a thin shell around [`crate::replicator::flow::FlowMachine`].

mod actor;
mod claim;
mod effects;
mod facts;
mod notes;
mod partitions;
mod session;
mod topics;

pub(super) use actor::{FlowActor, FlowArguments, FlowMsg};
