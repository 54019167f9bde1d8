//! Consumer groups of a flow: read on the source, translated, written as checkpoints, and kept in step on both sides.

mod commit;
mod refusal;
mod report;
mod rounds;
mod topics;

pub(crate) use rounds::GroupRounds;
