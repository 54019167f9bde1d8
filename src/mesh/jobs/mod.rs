//! What a flow does again and again, each a [`Job`](job::Job) with a name, a state and a reason that `/status` shows, and with a
//! rule which of several processes that share a flow runs it.

#[cfg(test)]
mod double;
pub(super) mod groups;
mod heartbeats;
pub(super) mod job;
mod map_trim;
mod offset_syncs;
mod topic_configs;

#[cfg(test)]
pub(super) use double::Double;
pub(super) use heartbeats::Heartbeats;
pub(super) use map_trim::MapTrim;
pub(super) use offset_syncs::OffsetSyncs;
pub(super) use topic_configs::TopicConfigs;
