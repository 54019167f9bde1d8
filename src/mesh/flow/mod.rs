//! A flow: what it wants to mirror, its engine session, its partitions, positions and heartbeats.

mod actor;
mod children;
mod context;
mod finish;
mod heartbeat;
mod limits;
mod positions;
mod session;
mod start;
mod store;
mod topic_configs;
mod topics;
mod wants;

pub use actor::{FlowActor, FlowArguments, FlowMsg};
pub use context::FlowContext;
pub use store::{Save, StoreMsg};
pub use topics::{as_source, as_target, describe, topic_config};
