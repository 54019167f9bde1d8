//! The heart, without I/O: what a partition does next, and where it goes on after anything that may happen.
//!
//! The shell drives a [`PartitionMachine`](partition::PartitionMachine). When that says
//! [`Output::Resolve`](partition::Output::Resolve), the shell gathers facts, calls [`resume::decide`], reads the tail
//! through a [`tail::TailMatcher`] if asked to, and hands the outcome of [`resume::Verdict::conclude`] back as
//! [`Input::Resolved`](partition::Input::Resolved).

mod backoff;
pub mod partition;
pub mod resume;
pub mod tail;
