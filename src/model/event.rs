//! What is worth a log line and a counter: nothing is dropped, skipped or reset without one of these (R10).

use super::groups::RefusalReason;
use super::{Alias, Fault, TopicName};

/// Something an operator should be able to find later.
///
/// Each is logged once, counted under [`Event::name`] and carried by the flow, topic and partition of whoever
/// reports it.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "what a variant says of its fields is one sentence with what it says of itself"
)]
pub enum Event {
    /// The source topic was deleted and created again: a new log under the old name.
    SourceRecreated { old_next: i64, new_start: i64 },
    /// Retention removed source records before they were mirrored: `[from, to)` are gone.
    RetentionOvertook { from: i64, to: i64 },
    /// The source log was truncated (unclean election, restored disk): `[from, to)` were mirrored and exist no more.
    SourceTruncated { from: i64, to: i64 },
    /// The target topic was deleted and created again.
    TargetRecreated { old_next: i64 },
    /// The target lost records it had acknowledged: `[from, to)`, target offsets.
    TargetLost { from: i64, to: i64 },
    /// Records in the remote topic that no flow of ours wrote, or whose source is gone: `[from, to)`, target offsets.
    ForeignRecords { from: i64, to: i64 },
    /// Records found on the target behind the saved position: written before the crash, not written again.
    TailMatched { records: u64 },
    /// Where a partition starts or goes on.
    Resumed { source_next: i64, target_next: i64 },
    /// Records stamped 0 are written as 1 ms, because librdkafka takes 0 for "no timestamp".
    TimestampZero { records: u64 },
    /// The partition can't go on for now.
    Faulted(Fault),
    /// The partition goes on after a fault.
    Recovered,
    /// The engine's connections were lost and are built anew.
    SessionLost { reason: String },
    /// A topic was created on the target.
    TopicCreated { topic: TopicName, partitions: i32 },
    /// Partitions were added on the target.
    PartitionsAdded { topic: TopicName, from: i32, to: i32 },
    /// A configuration entry was changed on the target.
    TopicConfigChanged { topic: TopicName, key: String, value: Option<String> },
    /// A configuration entry was refused by the target and left out.
    TopicConfigRefused { topic: TopicName, key: String, reason: String },
    /// A source topic is gone; its copy stays.
    SourceTopicGone { topic: TopicName },
    /// The source refuses heartbeats; the flow goes on without.
    HeartbeatsRefused { cluster: Alias, reason: String },
    /// The target refuses checkpoints; the flow goes on without.
    CheckpointsRefused { cluster: Alias, reason: String },
    /// Records of one of our own topics can't be read and are passed over.
    InternalRecordsDamaged { cluster: Alias, topic: TopicName, records: u64 },
    /// A consumer group was committed on both sides, and not to the same place: both are left.
    GroupConflict { group: String, reason: String },
    /// A consumer group is not kept in step.
    GroupRefused { group: String, class: RefusalReason, reason: String },
    /// A consumer group is kept in step again.
    GroupRecovered { group: String },
    /// Another process claimed the flow; this one stopped it.
    ClaimLost { by: String },
    /// The offset maps outgrew `offsets.memory`: the oldest part of this partition's was given up.
    OffsetMapShed { intervals: u64 },
    /// The stored offset map can't be read; a new one begins where mirroring goes on.
    OffsetMapDamaged { reason: String },
    /// A cluster refuses MirrorMaker 2's offset syncs; the flow goes on without.
    OffsetSyncsRefused { cluster: Alias, reason: String },
    /// A heartbeat came back to where it started.
    LoopFound { path: String },
}

impl Event {
    /// The event's name: a bounded set, used as a metric label and as the `event` field of the log line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SourceRecreated { .. } => "source_recreated",
            Self::RetentionOvertook { .. } => "retention_overtook",
            Self::SourceTruncated { .. } => "source_truncated",
            Self::TargetRecreated { .. } => "target_recreated",
            Self::TargetLost { .. } => "target_lost",
            Self::ForeignRecords { .. } => "foreign_records",
            Self::TailMatched { .. } => "tail_matched",
            Self::Resumed { .. } => "resumed",
            Self::TimestampZero { .. } => "timestamp_zero",
            Self::Faulted(_) => "faulted",
            Self::Recovered => "recovered",
            Self::SessionLost { .. } => "session_lost",
            Self::TopicCreated { .. } => "topic_created",
            Self::PartitionsAdded { .. } => "partitions_added",
            Self::TopicConfigChanged { .. } => "topic_config_changed",
            Self::TopicConfigRefused { .. } => "topic_config_refused",
            Self::SourceTopicGone { .. } => "source_topic_gone",
            Self::HeartbeatsRefused { .. } => "heartbeats_refused",
            Self::CheckpointsRefused { .. } => "checkpoints_refused",
            Self::InternalRecordsDamaged { .. } => "internal_records_damaged",
            Self::GroupConflict { .. } => "group_conflict",
            Self::GroupRefused { .. } => "group_refused",
            Self::GroupRecovered { .. } => "group_recovered",
            Self::ClaimLost { .. } => "claim_lost",
            Self::OffsetMapShed { .. } => "offset_map_shed",
            Self::OffsetMapDamaged { .. } => "offset_map_damaged",
            Self::OffsetSyncsRefused { .. } => "offset_syncs_refused",
            Self::LoopFound { .. } => "loop_found",
        }
    }
}
