//! MirrorMesh mirrors Apache Kafka clusters in any topology.
//!
//! The rooms, from the pure to the outside: [`model`], [`topology`], [`batch`], [`formats`], [`offsets`] and
//! [`replicator`] know no I/O; [`config`] and [`telemetry`] serve all; [`wire`] and [`engine`] talk to Kafka; [`mesh`] holds the
//! actors; [`http`] and [`cli`] face people. `ARCHITECTURE.md` tells the whole story.

// Not in Cargo.toml: in the crates of tests and benches nothing is reachable, and `pub` says nothing.
#![warn(unreachable_pub)]

pub mod batch;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod engine;
pub mod formats;
pub mod http;
pub mod inspect;
pub mod mesh;
pub mod model;
pub mod offsets;
pub mod replicator;
#[cfg(test)]
mod snapshot;
pub mod store;
pub mod telemetry;
pub mod topology;
pub mod wire;
