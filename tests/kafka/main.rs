//! Tests against real Kafka clusters that all of them share and none of them breaks.

#[path = "../common/mod.rs"]
mod common;

mod checkpoints;
mod claims;
mod cli;
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
