//! The heart, without I/O: what a flow and a partition do next, and where a partition goes on after anything that
//! may happen.
//!
//! A [`FlowMachine`](flow::FlowMachine) says which partitions there are, and when; the shell of each drives a
//! [`PartitionMachine`](partition::PartitionMachine). When that says [`PartitionOutput::Resolve`](partition::PartitionOutput::Resolve), that
//! shell gathers facts, calls [`resume::decide`], reads the tail through a [`tail::TailMatcher`] if asked to, and hands
//! the outcome of [`resume::ResumeVerdict::conclude`] back as [`PartitionInput::Resolved`](partition::PartitionInput::Resolved).

mod backoff;
pub mod flow;
pub mod partition;
pub mod resume;
pub mod tail;
