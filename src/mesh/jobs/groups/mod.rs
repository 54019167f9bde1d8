//! Consumer groups of a flow: read on the source, translated, written as checkpoints, and kept in step on both sides.

mod commit;
mod cycle;
mod refusal;
mod report;
mod topics;

pub use cycle::Cycle;
