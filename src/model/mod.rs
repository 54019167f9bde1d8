//! The words of the project as types: what everything else speaks. Pure, no I/O.

mod batch;
mod event;
mod fault;
pub mod groups;
mod ids;
mod isolation;
pub mod job;
mod path;
mod policy;
mod side;
pub mod status;

pub use batch::{BatchInfo, Segment};
pub use event::Event;
pub use fault::{Fault, FaultKind, WriteErrorClass};
pub use ids::{Alias, ClusterId, FlowName, Generation, TopicId, TopicName, TopicPartition};
pub use isolation::Isolation;
pub use path::PathText;
pub use policy::{ResetPolicy, TargetResetPolicy};
pub use side::Side;
