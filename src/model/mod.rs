//! The words of the project as types: what everything else speaks. Pure, no I/O.

mod batch;
mod codec;
mod config;
mod epoch;
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
pub use codec::Codec;
pub use config::{ConfigEntry, ConfigSource};
pub use epoch::EpochEnd;
pub use event::Event;
pub use fault::{Fault, FaultKind, WriteErrorClass};
pub use ids::{Alias, ClusterId, FlowName, Generation, TopicId, TopicName, TopicPartition};
pub use isolation::Isolation;
pub use path::PathText;
pub use policy::{ResetPolicy, TargetResetPolicy};
pub use side::Side;
