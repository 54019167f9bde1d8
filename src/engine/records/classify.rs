//! What librdkafka's errors mean to a lane.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::acks::AckFailure;
use crate::engine::{SourceError, WriteError};
use crate::model::{Fault, FaultKind, TopicPartition, WriteErrorClass};

/// What a failed delivery report means; `None` when the whole producer has ended, which is told to all its lanes.
pub(super) fn write_failure(
    failure: &AckFailure,
    source: &TopicPartition,
    target: &TopicPartition,
    source_offset: i64,
) -> Option<WriteError> {
    let what =
        |cause: &str| format!("offset {source_offset} of {source} was not written to {target}: {cause}");
    let code = match failure {
        AckFailure::Refused(code) => *code,
        AckFailure::Offset(offset) => {
            let fault = Fault::new(
                FaultKind::Other,
                format!("offset {source_offset} of {source} is on {target}, at an unknown offset ({offset})"),
                "nothing to do: the tail of the target partition is compared with the source",
            );
            return Some(WriteError { class: WriteErrorClass::Session, source_offset, fault });
        }
    };
    let (class, kind, advice) = match code {
        // The producer is finished, or was told to drop what it holds: the session says so to every lane.
        Code::Fatal
        | Code::PurgeQueue
        | Code::PurgeInflight
        | Code::GaplessGuarantee
        | Code::BrokerDestroy
        | Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping => return None,
        Code::TopicAuthorizationFailed => (
            WriteErrorClass::Refuse,
            FaultKind::TargetUnauthorized,
            format!("grant Write and Describe on topic {}", target.topic),
        ),
        Code::ClusterAuthorizationFailed => (
            WriteErrorClass::Refuse,
            FaultKind::TargetUnauthorized,
            "grant IdempotentWrite on the target cluster".to_owned(),
        ),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => (
            WriteErrorClass::Refuse,
            FaultKind::RecordTooLarge,
            format!("raise max.message.bytes of {}", target.topic),
        ),
        Code::InvalidTimestamp => (
            WriteErrorClass::Refuse,
            FaultKind::TimestampRefused,
            format!("raise message.timestamp.before.max.ms or .after.max.ms of {}", target.topic),
        ),
        Code::InvalidRecord
        | Code::InvalidDifferentRecord
        | Code::PolicyViolation
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::InvalidRequiredAcks
        | Code::InvalidTopic => (
            WriteErrorClass::Refuse,
            FaultKind::TargetRefused,
            format!("see the log of the target's brokers and the configuration of {}", target.topic),
        ),
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::NoEnt => (
            WriteErrorClass::Retry,
            FaultKind::TargetMissing,
            format!("{target} is created again when the flow may do so; otherwise create it"),
        ),
        _ => (WriteErrorClass::Session, FaultKind::Other, String::new()),
    };
    let fault = Fault::new(kind, what(&code.to_string()), advice);
    Some(WriteError { class, source_offset, fault })
}

/// What an error on a partition's queue means; `reason` is librdkafka's text.
pub(super) fn source_failure(error: &KafkaError, reason: &str, next: i64) -> SourceError {
    let text = || if reason.is_empty() { error.to_string() } else { reason.to_owned() };
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => SourceError::OutOfRange { offset: next },
        Some(Code::LogTruncation) => SourceError::Truncated { offset: next },
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            SourceError::UnknownPartition
        }
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
            SourceError::Unauthorized(text())
        }
        Some(
            Code::BadMessage
            | Code::BadCompression
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::NotImplemented
            | Code::UnsupportedCompressionType,
        ) => SourceError::Corrupt { offset: next, detail: text() },
        _ => SourceError::Retriable(text()),
    }
}

/// The offset at which librdkafka reached the end of a partition, from the text of its event.
///
/// rdkafka hands out the event without its offset, yet that offset is the only thing that says how far the markers
/// and aborted records behind the last record reach.
pub(super) fn end_offset(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("reached end of partition at offset ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(code: Code) -> Option<(WriteErrorClass, FaultKind)> {
        let (source, target) = (TopicPartition::new("orders", 1), TopicPartition::new("east.orders", 1));
        let error = write_failure(&AckFailure::Refused(code), &source, &target, 7)?;
        assert_eq!(error.source_offset, 7);
        assert!(error.fault.what.contains("offset 7 of orders-1"), "{}", error.fault.what);
        assert!(error.fault.what.contains("east.orders-1"), "{}", error.fault.what);
        Some((error.class, error.fault.kind))
    }

    #[test]
    fn what_a_person_has_to_mend_is_refused() {
        let refused = |kind| Some((WriteErrorClass::Refuse, kind));
        assert_eq!(write(Code::TopicAuthorizationFailed), refused(FaultKind::TargetUnauthorized));
        assert_eq!(write(Code::MessageSizeTooLarge), refused(FaultKind::RecordTooLarge));
        assert_eq!(write(Code::InvalidTimestamp), refused(FaultKind::TimestampRefused));
        assert_eq!(write(Code::PolicyViolation), refused(FaultKind::TargetRefused));
    }

    #[test]
    fn a_missing_topic_is_tried_again_and_the_rest_is_unknown() {
        let retry = Some((WriteErrorClass::Retry, FaultKind::TargetMissing));
        assert_eq!(write(Code::UnknownTopic), retry);
        assert_eq!(write(Code::MessageTimedOut), Some((WriteErrorClass::Session, FaultKind::Other)));
        assert_eq!(write(Code::PurgeQueue), None, "the session's end is told to all");
    }

    #[test]
    fn errors_of_the_source_are_told_apart() {
        let failure = |code| source_failure(&KafkaError::MessageConsumption(code), "the text", 9);
        assert_eq!(failure(Code::AutoOffsetReset), SourceError::OutOfRange { offset: 9 });
        assert_eq!(failure(Code::LogTruncation), SourceError::Truncated { offset: 9 });
        assert_eq!(failure(Code::UnknownTopic), SourceError::UnknownPartition);
        assert_eq!(
            failure(Code::BadMessage),
            SourceError::Corrupt { offset: 9, detail: "the text".to_owned() }
        );
        assert_eq!(failure(Code::BrokerTransportFailure), SourceError::Retriable("the text".to_owned()));
    }

    #[test]
    fn the_end_is_read_from_librdkafkas_text() {
        let text = "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 45)";
        assert_eq!(end_offset(text), Some(42));
        assert_eq!(end_offset("Fetch from broker 1 failed at offset 42"), None);
    }
}
