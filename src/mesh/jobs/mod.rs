//! What a flow does again and again, each a [`Job`](job::Job) with a name, a state and a reason that `/status` shows, and with a
//! rule which of several processes that share a flow runs it.

pub(super) mod groups;
mod heartbeats;
pub(super) mod job;
mod map_trim;
mod offset_syncs;
mod topic_configs;

pub use heartbeats::Heartbeats;
pub use map_trim::MapTrim;
pub use offset_syncs::OffsetSyncs;
pub use topic_configs::TopicConfigs;
