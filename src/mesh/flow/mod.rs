//! A flow: what it wants to mirror, its engine session, its partitions and jobs.

mod actor;
mod children;
mod finish;
mod session;
mod start;
mod topics;
mod wants;

pub use actor::{FlowActor, FlowArguments, FlowMsg};
