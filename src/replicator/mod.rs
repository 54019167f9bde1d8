//! The heart, without I/O: what a partition does next, and where it goes on after anything that may happen.
//!
//! The shell drives a [`Machine`]. When that says [`Output::Resolve`], the shell gathers facts, calls
//! [`resume::decide`], reads the tail through a [`tail::TailMatcher`] if asked to, and hands the outcome of
//! [`resume::ResumeVerdict::conclude`] back as [`Input::Resolved`].

mod machine;
pub mod resume;
pub mod tail;

pub use machine::{Input, Machine, MachineConfig, Output, Resolution};
