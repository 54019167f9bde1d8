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

// What tests share names this crate as they all do.
#[cfg(test)]
extern crate self as mirrormesh;
#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "shared with the other tests; here a part of it is used")]
#[path = "../tests/fake/mod.rs"]
mod fake;
#[cfg(test)]
#[path = "../tests/fake/tests.rs"]
mod fake_tests;
