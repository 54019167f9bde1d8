//! What is told to a person when a write fails.

use kafka_protocol::error::ResponseError;

use super::packing::PackProblem;
use crate::engine::TargetLimits;
use crate::model::{Fault, FaultKind, TopicPartition, WriteErrorClass};

/// Where a lane leads.
#[derive(Clone, Debug)]
pub(super) struct LanePlace {
    pub(super) source: TopicPartition,
    pub(super) target: TopicPartition,
}

/// What the target answered instead of an offset.
#[derive(Clone, Debug)]
pub(super) struct BrokerRefusal {
    pub(super) code: ResponseError,
    /// Where the batch was appended, though the answer is an error; −1 when it says nothing of it.
    pub(super) base_offset: i64,
    pub(super) message: Option<String>,
    /// Single records by their place in the batch, and what is wrong with them.
    pub(super) records: Vec<(u32, Option<String>)>,
}

impl BrokerRefusal {
    /// The code with what the broker says, about the batch and about single records.
    pub(super) fn text(&self, source_at: impl Fn(u32) -> Option<i64>) -> String {
        // A broker names every record that is wrong; the first few tell as much.
        const NAMED: usize = 3;
        let mut text = match self.code {
            ResponseError::Unknown(code) => format!("error {code}"),
            known => format!("{known} ({})", known.code()),
        };
        if let Some(message) = self.message.as_ref().filter(|message| !message.is_empty()) {
            text = format!("{text}: {message}");
        }
        for (index, message) in self.records.iter().take(NAMED) {
            let offset = source_at(*index).map_or_else(String::new, |offset| format!(" at offset {offset}"));
            let message = message.as_deref().unwrap_or("refused");
            text = format!("{text}; record {index} of the batch{offset}: {message}");
        }
        text
    }
}

/// A failure that is to be told, and the source offset to blame; `None` is where the written records end.
#[derive(Clone, Debug)]
pub(super) struct WriteFailure {
    pub(super) class: WriteErrorClass,
    pub(super) offset: Option<i64>,
    pub(super) fault: Fault,
}

impl LanePlace {
    /// The target has to be looked at before anything else is written.
    pub(super) fn resolve(&self, offset: i64, cause: &str) -> WriteFailure {
        let fault = Fault::new(
            FaultKind::Other,
            format!(
                "offset {offset} of {} was not certainly written to {}: {cause}",
                self.source, self.target
            ),
            "nothing to do: the tail of the target partition is compared with the source",
        );
        WriteFailure { class: WriteErrorClass::Retry, offset: None, fault }
    }

    /// The target does not know the topic.
    pub(super) fn missing(&self, offset: i64, cause: &str) -> WriteFailure {
        let fault = Fault::new(
            FaultKind::TargetMissing,
            self.not_written(offset, cause),
            format!("{} is created again when the flow may do so; otherwise create it", self.target),
        );
        WriteFailure { class: WriteErrorClass::Retry, offset: None, fault }
    }

    /// Another writer has taken our place.
    pub(super) fn fenced(&self, offset: i64, cause: &str) -> WriteFailure {
        let fault = Fault::new(
            FaultKind::AnotherWriter,
            self.not_written(offset, cause),
            "make sure that only one process mirrors this flow",
        );
        WriteFailure { class: WriteErrorClass::Fence, offset: None, fault }
    }

    /// The target won't take it.
    pub(super) fn refused(&self, kind: FaultKind, offset: i64, cause: &str) -> WriteFailure {
        let topic = &self.target.topic;
        let advice = match kind {
            FaultKind::TargetUnauthorized => {
                format!(
                    "grant Write and Describe on topic {topic}, and IdempotentWrite on the cluster before Kafka 2.8"
                )
            }
            FaultKind::TimestampRefused => {
                format!("raise message.timestamp.before.max.ms or .after.max.ms of {topic}")
            }
            FaultKind::MissingKey => {
                format!("remove compact from cleanup.policy of {topic}, or exclude the topic")
            }
            _ => format!("see the log of the target's brokers and the configuration of {topic}"),
        };
        let fault = Fault::new(kind, self.not_written(offset, cause), advice);
        WriteFailure { class: WriteErrorClass::Refuse, offset: Some(offset), fault }
    }

    /// One record is larger than the topic takes, even alone.
    pub(super) fn too_large(&self, offset: i64, bytes: usize, limit: Option<usize>) -> WriteFailure {
        let topic = &self.target.topic;
        let most = limit.map_or_else(|| "less".to_owned(), |limit| format!("at most {limit}"));
        let fault = Fault::new(
            FaultKind::RecordTooLarge,
            format!(
                "record at offset {offset} of {} takes {bytes} bytes, the target topic {topic} takes {most}",
                self.source
            ),
            format!("raise max.message.bytes of {topic} to {bytes} or more"),
        );
        WriteFailure { class: WriteErrorClass::Refuse, offset: Some(offset), fault }
    }

    /// A batch can't be written anew.
    pub(super) fn unpackable(
        &self,
        offset: i64,
        problem: &PackProblem,
        limits: &TargetLimits,
    ) -> WriteFailure {
        match problem {
            PackProblem::RecordTooLarge { offset, bytes, limit } => {
                let limit = (*limit >= limits.max_message_bytes).then_some(*limit);
                self.too_large(*offset, *bytes, limit)
            }
            PackProblem::Batch(detail) => {
                let fault = Fault::new(
                    FaultKind::CorruptSource,
                    format!("offset {offset} of {} can't be read: {detail}", self.source),
                    "check the broker's disk; restore the segment from a replica, or move the position past it",
                );
                WriteFailure { class: WriteErrorClass::Refuse, offset: Some(offset), fault }
            }
        }
    }

    fn not_written(&self, offset: i64, cause: &str) -> String {
        format!("offset {offset} of {} was not written to {}: {cause}", self.source, self.target)
    }
}
