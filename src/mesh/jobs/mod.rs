//! What a flow does again and again.

pub(super) mod groups;
mod heartbeats;
mod map_trim;
mod offset_syncs;
pub(super) mod periodic;
mod topic_configs;

pub use heartbeats::Heartbeats;
pub use map_trim::MapTrim;
pub use offset_syncs::OffsetSyncs;
pub use topic_configs::TopicConfigs;
