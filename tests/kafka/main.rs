//! Tests against real Kafka clusters that all of them share and none of them breaks.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, unused_imports, reason = "shared with the unit tests; here a part of it is used")]
#[path = "../fake/mod.rs"]
mod fake;

mod checkpoints;
mod claims;
mod cli;
mod conformance;
mod fake_clusters;
mod groups;
mod harness;
mod mirror;
mod mm2_clients;
mod offset_map;
mod passthrough;
mod records;
mod topics;
mod unopened;
mod wire;
