//! What the actors of a mesh share: contexts, boards, protocols. Knows none of them.

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

pub use board::FlowBoard;
pub use context::MeshContext;
pub use flow::FlowContext;
pub use generations::LastGeneration;
pub use group_board::{GroupBoard, GroupsSnapshot};
pub use job_board::JobBoard;
pub use messages::{PartitionMsg, Save, StoreMsg, Unresolved};
pub use tasks::Tasks;
