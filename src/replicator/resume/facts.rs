//! What is known of both sides when a partition resolves.

use crate::model::{EpochEnd, ResetPolicy, TargetResetPolicy, TopicId};

/// The source partition, as its leader tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFacts {
    /// The cluster's own id; empty when unknown.
    pub cluster: String,
    /// The topic's id.
    pub topic_id: TopicId,
    /// First offset there is.
    pub log_start: i64,
    /// End that can be read under the flow's isolation.
    pub log_end: i64,
    /// The leader's epoch; −1 when unknown.
    pub leader_epoch: i32,
    /// Where the position's source epoch ends; `None` when the position has none or the broker can't say.
    pub epoch_end: Option<EpochEnd>,
    /// Where a partition without a position starts, as an offset.
    pub start_offset: i64,
}

/// The target partition, as its leader tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetFacts {
    /// The cluster's own id; empty when unknown.
    pub cluster: String,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The topic's name.
    pub remote_topic: crate::model::TopicName,
    /// First offset there is.
    pub log_start: i64,
    /// The leader's log end (ListOffsets with replica id −2), not its high watermark.
    pub log_end: i64,
    /// The high watermark.
    pub high_watermark: i64,
    /// Whether log end and high watermark stood still since an earlier look, some moments ago.
    pub stood_still: bool,
    /// The leader's epoch; −1 when unknown.
    pub leader_epoch: i32,
    /// Where the position's target epoch ends; `None` when the position has none or the broker can't say.
    pub epoch_end: Option<EpochEnd>,
    /// [`PartitionMachine::lost_from`](crate::replicator::partition::PartitionMachine::lost_from).
    pub lost_from: Option<i64>,
}

/// What the flow wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePolicy {
    /// Names flow, clusters, topic and partition in faults.
    pub place: String,
    /// `on_source_reset`.
    pub on_source_reset: ResetPolicy,
    /// `on_target_reset`.
    pub on_target_reset: TargetResetPolicy,
    /// Whether a person set `start`: it then also settles a remote topic that isn't empty.
    pub start_is_explicit: bool,
    /// The topic appeared while the flow ran: without a position it starts at its first record, whatever `start` says.
    pub appeared: bool,
    /// Filter and isolation, as they are now.
    pub fingerprint: String,
}
