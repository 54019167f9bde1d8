//! Why a partition, topic, flow or cluster can't go on, in words a person can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of a fault: a bounded set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The source refuses our credentials the topic.
    SourceUnauthorized,
    /// The target refuses our credentials the topic.
    TargetUnauthorized,
    /// A record is larger than the target topic takes.
    RecordTooLarge,
    /// A record without a key is meant for a compacted target.
    MissingKey,
    /// A record's timestamp is outside what the target topic takes.
    TimestampRefused,
    /// The target refused a batch for another reason.
    TargetRefused,
    /// A batch from the source is damaged.
    CorruptSource,
    /// The source's log holds a format that the flow's engine can't read.
    OldFormat,
    /// The source was re-created, truncated or overtaken by retention, and the policy says to fail.
    SourceReset,
    /// The target was re-created or lost records, and the policy says to fail.
    TargetReset,
    /// There is no position, yet the remote topic already holds records.
    RemoteNotEmpty,
    /// The remote topic is missing and can't be created.
    TargetMissing,
    /// There is work and room for it, yet nothing moves.
    NoProgress,
    /// Another process mirrors the same flow.
    AnotherWriter,
    /// Two aliases are the same cluster, or a heartbeat came round.
    Loop,
    /// The position can't be read or written.
    PositionStore,
    /// Anything else; the text says what.
    Other,
}

impl FaultKind {
    /// Every kind, so that its counter exists before the first one.
    pub const ALL: [Self; 17] = [
        Self::SourceUnauthorized,
        Self::TargetUnauthorized,
        Self::RecordTooLarge,
        Self::MissingKey,
        Self::TimestampRefused,
        Self::TargetRefused,
        Self::CorruptSource,
        Self::OldFormat,
        Self::SourceReset,
        Self::TargetReset,
        Self::RemoteNotEmpty,
        Self::TargetMissing,
        Self::NoProgress,
        Self::AnotherWriter,
        Self::Loop,
        Self::PositionStore,
        Self::Other,
    ];

    /// The label used in metrics and in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SourceUnauthorized => "source_unauthorized",
            Self::TargetUnauthorized => "target_unauthorized",
            Self::RecordTooLarge => "record_too_large",
            Self::MissingKey => "missing_key",
            Self::TimestampRefused => "timestamp_refused",
            Self::TargetRefused => "target_refused",
            Self::CorruptSource => "corrupt_source",
            Self::OldFormat => "old_format",
            Self::SourceReset => "source_reset",
            Self::TargetReset => "target_reset",
            Self::RemoteNotEmpty => "remote_not_empty",
            Self::TargetMissing => "target_missing",
            Self::NoProgress => "no_progress",
            Self::AnotherWriter => "another_writer",
            Self::Loop => "loop",
            Self::PositionStore => "position_store",
            Self::Other => "other",
        }
    }

    /// Whether it may pass when the target topic's configuration changes: the target refuses a record.
    pub fn may_pass_with_target_config(self) -> bool {
        matches!(self, Self::RecordTooLarge | Self::MissingKey | Self::TimestampRefused | Self::TargetRefused)
    }
}

/// A fault: what happened and where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The class.
    pub kind: FaultKind,
    /// What happened, with cluster, topic, partition and offset.
    pub what: String,
    /// What a person can do.
    pub advice: String,
}

impl Fault {
    /// A fault with its description and advice.
    pub fn new(kind: FaultKind, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// What a failed write means for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteErrorClass {
    /// Nothing of the batch is on the target; the same batch may be tried again later (broker busy, topic away).
    Retry,
    /// The target won't ever take this batch; a person has to act.
    Refuse,
    /// Another writer fenced us off.
    Fence,
    /// The outcome is unknown, or the client is finished: build the next session and find out.
    Session,
}
