//! The actors, between two fake clusters in this process: what goes wrong there, and what becomes of the flow.
//!
//! `twin` starts clusters and meshes and holds what is asserted of all. Nothing here sleeps: a test waits until what it
//! wants to see is so, and fails at a ceiling.

mod away;
mod claims;
mod drains;
mod groups;
mod jobs;
mod leaders;
mod positions;
mod rings;
mod sessions;
mod topics;
mod twin;
