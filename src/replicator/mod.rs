//! The heart, without I/O: what a partition does next, and where it goes on after anything that may happen.

mod machine;
pub mod position;
pub mod resume;
pub mod tail;

pub use machine::{Input, Machine, Output, Resolution};
