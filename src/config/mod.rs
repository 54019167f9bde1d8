//! From files, environment and flags to a sound, typed [`crate::topology::Topology`].

pub mod client;
