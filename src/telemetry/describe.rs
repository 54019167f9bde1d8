//! An event in words: how serious it is, a sentence for people, and its figures as fields. Pure.

use serde::Serialize;

use crate::model::Event;
use crate::model::groups::RefusalReason;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSeverity {
    /// The normal course of things.
    Info,
    /// Worth a look: records are affected, or something is left out.
    Warn,
    /// Something stands still until it is mended.
    Error,
}

/// The figures of an event; absent ones are left out of logs and JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Details {
    /// First offset or number of the range concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The end of that range, itself not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// Next source offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_next: Option<i64>,
    /// Next target offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_next: Option<i64>,
    /// How many records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// How many intervals of an offset map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<u64>,
    /// How many partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// The topic that the event itself names, where the scope doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_topic: Option<String>,
    /// The configuration key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Class of the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Why a group is not kept in step, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// An event in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// How serious it is.
    pub severity: EventSeverity,
    /// What happened.
    pub message: &'static str,
    /// Its figures.
    pub details: Details,
}

/// Every event's name, so that its counter exists before the first one happens.
pub(super) const EVENT_NAMES: [&str; 28] = [
    "source_recreated",
    "retention_overtook",
    "source_truncated",
    "target_recreated",
    "target_lost",
    "foreign_records",
    "tail_matched",
    "resumed",
    "timestamp_zero",
    "faulted",
    "recovered",
    "session_lost",
    "topic_created",
    "partitions_added",
    "topic_config_changed",
    "topic_config_refused",
    "source_topic_gone",
    "heartbeats_refused",
    "checkpoints_refused",
    "internal_records_damaged",
    "group_conflict",
    "group_refused",
    "group_recovered",
    "claim_lost",
    "offset_map_shed",
    "offset_map_damaged",
    "offset_syncs_refused",
    "loop_found",
];

/// Puts an event into words.
#[expect(clippy::too_many_lines, reason = "a table: a few lines for each event")]
pub fn describe(event: &Event) -> Description {
    use EventSeverity::{Error, Info, Warn};
    let nothing = Details::default();
    let range = |from: i64, to: i64| Details { from: Some(from), to: Some(to), ..Details::default() };
    let (severity, message, details) = match event {
        Event::SourceRecreated { old_next, new_start } => (
            Warn,
            "the source topic was deleted and created again; from: where the old log had been mirrored to, \
             to: where the new one starts",
            range(*old_next, *new_start),
        ),
        Event::RetentionOvertook { from, to } => {
            (Error, "retention removed source records before they were mirrored", range(*from, *to))
        }
        Event::SourceTruncated { from, to } => (
            Error,
            "the source log was truncated: these source offsets were mirrored and exist no more",
            range(*from, *to),
        ),
        Event::TargetRecreated { old_next } => (
            Warn,
            "the target topic was deleted and created again",
            Details { target_next: Some(*old_next), ..nothing },
        ),
        Event::TargetLost { from, to } => (
            Error,
            "the target lost acknowledged records, target offsets; they are mirrored again",
            range(*from, *to),
        ),
        Event::ForeignRecords { from, to } => (
            Warn,
            "records in the remote topic that this mesh didn't write, or whose source is gone, target offsets; passed over",
            range(*from, *to),
        ),
        Event::TailMatched { records } => (
            Info,
            "records behind the saved position were found on the target and are not written again",
            Details { records: Some(*records), ..nothing },
        ),
        Event::Resumed { source_next, target_next } => (
            Info,
            "mirroring goes on from here",
            Details { source_next: Some(*source_next), target_next: Some(*target_next), ..nothing },
        ),
        Event::TimestampZero { records } => (
            Warn,
            "records with timestamp 0 were written with timestamp 1 ms",
            Details { records: Some(*records), ..nothing },
        ),
        Event::Faulted(fault) => (
            Error,
            "can't go on for now; it is tried again by itself",
            Details {
                fault: Some(fault.kind.as_str()),
                reason: Some(fault.what.clone()),
                advice: (!fault.advice.is_empty()).then(|| fault.advice.clone()),
                ..nothing
            },
        ),
        Event::Recovered => (Info, "goes on after a fault", nothing),
        Event::SessionLost { reason } => (
            Warn,
            "the engine's connections were lost and are built anew",
            Details { reason: Some(reason.clone()), ..nothing },
        ),
        Event::TopicCreated { topic, partitions } => (
            Info,
            "topic created on the target",
            Details { event_topic: Some(topic.to_string()), partitions: Some(*partitions), ..nothing },
        ),
        Event::PartitionsAdded { topic, from, to } => (
            Info,
            "partitions added on the target; from and to are partition counts",
            Details { event_topic: Some(topic.to_string()), ..range(i64::from(*from), i64::from(*to)) },
        ),
        Event::TopicConfigChanged { topic, key, value } => (
            Info,
            "topic configuration changed on the target; without a value the entry was removed",
            Details {
                event_topic: Some(topic.to_string()),
                key: Some(key.clone()),
                value: value.clone(),
                ..nothing
            },
        ),
        Event::TopicConfigRefused { topic, key, reason } => (
            Warn,
            "the target refused a configuration entry; the topic goes without it",
            Details {
                event_topic: Some(topic.to_string()),
                key: Some(key.clone()),
                reason: Some(reason.clone()),
                ..nothing
            },
        ),
        Event::SourceTopicGone { topic } => (
            Warn,
            "the source topic is gone; its copy stays",
            Details { event_topic: Some(topic.to_string()), ..nothing },
        ),
        Event::HeartbeatsRefused { cluster, reason } => (
            Warn,
            "heartbeats are refused; the flow goes on without them",
            Details { reason: Some(format!("cluster {cluster}: {reason}")), ..nothing },
        ),
        Event::CheckpointsRefused { cluster, reason } => (
            Warn,
            "checkpoints of groups are refused; the flow goes on without them",
            Details { reason: Some(format!("cluster {cluster}: {reason}")), ..nothing },
        ),
        Event::InternalRecordsDamaged { cluster, topic, records } => (
            Warn,
            "records of an internal topic that can't be read are passed over; the log has their offsets",
            Details {
                event_topic: Some(topic.to_string()),
                records: Some(*records),
                reason: Some(format!("cluster {cluster}")),
                ..nothing
            },
        ),
        Event::GroupConflict { group, reason } => (
            Warn,
            "a consumer group was committed on both sides, and not to the same place; both are left",
            Details { group: Some(group.clone()), reason: Some(reason.clone()), ..nothing },
        ),
        Event::GroupRefused { group, class, reason } => (
            // Working on the other side is what groups are for; anything else is worth a look.
            if *class == RefusalReason::Active { Info } else { Warn },
            "a consumer group is not kept in step on both sides",
            Details {
                group: Some(group.clone()),
                class: Some(class.as_str()),
                reason: Some(reason.clone()),
                ..nothing
            },
        ),
        Event::GroupRecovered { group } => (
            Info,
            "a consumer group is kept in step again",
            Details { group: Some(group.clone()), ..nothing },
        ),
        Event::ClaimLost { by } => (
            Error,
            "another process claimed the flow; this one has stopped it",
            Details { reason: Some(format!("claimed by {by}")), ..nothing },
        ),
        Event::OffsetMapShed { intervals } => (
            Warn,
            "the offset maps outgrew offsets.memory; the oldest part of this partition's was given up: groups that \
             far behind translate to the earliest safe offset",
            Details { intervals: Some(*intervals), ..nothing },
        ),
        Event::OffsetMapDamaged { reason } => (
            Error,
            "the stored offset map can't be read; a new one begins here, offsets below it are unknown",
            Details { reason: Some(reason.clone()), ..nothing },
        ),
        Event::OffsetSyncsRefused { cluster, reason } => (
            Warn,
            "MirrorMaker 2's offset syncs are refused; the flow goes on without them",
            Details { reason: Some(format!("cluster {cluster}: {reason}")), ..nothing },
        ),
        Event::LoopFound { path } => (
            Error,
            "a heartbeat came back to where it started; the flow that closes the loop is stopped",
            Details { reason: Some(path.clone()), ..nothing },
        ),
    };
    Description { severity, message, details }
}
