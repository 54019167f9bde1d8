//! The records engine between two real clusters.

mod fidelity;
mod flow;
mod lanes;
mod raw;
mod refusals;
