//! What the actors of a mesh share: contexts, boards, protocols. Knows none of them.

mod alarm;
mod board;
mod context;
mod flow;
mod generations;
mod group_board;
mod job_board;
pub(super) mod limits;
mod messages;
pub(super) mod supervise;
mod tasks;

pub(crate) use alarm::Alarm;
pub use board::FlowBoard;
pub(super) use context::MeshContext;
pub(super) use flow::FlowContext;
pub(super) use generations::LastGeneration;
pub use group_board::{GroupBoard, GroupsSnapshot};
pub(super) use job_board::JobBoard;
pub(super) use messages::{PartitionMsg, Save, StoreMsg, Unresolved};
pub(super) use tasks::Tasks;
