//! The records engine between two real clusters.

mod fidelity;
pub mod flow;
mod lanes;
pub mod raw;
mod refusals;
