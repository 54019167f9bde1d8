//! What the target's answers to a produce request mean for the partition.

use std::time::Duration;

use kafka_protocol::error::ResponseError;

use crate::model::FaultKind;

/// How long a topic may be unknown to its leader: metadata reach all brokers within a second or two. Later it is
/// looked for, and created again where the flow may do so.
pub(super) const TOPIC_PATIENCE: Duration = Duration::from_secs(15);
/// How long an answer that tells nothing is taken for something that passes.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(30);

/// What a refusal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalVerdict {
    /// To be sent again as it is.
    Again(Again),
    /// The sequence number does not follow on the last one that the target knows.
    OutOfOrder,
    /// The batch is larger than the topic takes; nothing of it was appended.
    TooLarge,
    /// The topic does not take its compression; nothing of it was appended.
    Codec,
    /// Its checksum is wrong, as the target sees it; nothing of it was appended.
    Corrupt,
    /// Not under this producer: what lies on the target has to be looked at.
    Resolve,
    /// Another writer has taken our place.
    Fence,
    /// The target won't take it; a person has to act.
    Refuse(FaultKind),
}

/// How a batch is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// Whether the leader should be asked for first.
    pub(super) moved: bool,
    /// Whether the batch may have been appended all the same.
    pub(super) uncertain: bool,
    /// After how long of nothing else the partition is looked at instead; `None` is as long as it takes.
    pub(super) patience: Option<Duration>,
}

const MOVED: Again = Again { moved: true, uncertain: false, patience: None };
const BUSY: Again = Again { moved: false, uncertain: false, patience: None };
const UNSURE: Again = Again { moved: false, uncertain: true, patience: None };

/// What an error code means. `compacted` says that the topic wants keys; `message` is the broker's.
pub(super) fn verdict(code: ResponseError, compacted: bool, message: Option<&str>) -> RefusalVerdict {
    use ResponseError as E;
    match code {
        E::NotLeaderOrFollower
        | E::FencedLeaderEpoch
        | E::UnknownLeaderEpoch
        | E::LeaderNotAvailable
        | E::ReplicaNotAvailable
        | E::BrokerNotAvailable
        | E::PreferredLeaderNotAvailable
        | E::NewLeaderElected => RefusalVerdict::Again(MOVED),
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::InconsistentTopicId | E::ResourceNotFound => {
            RefusalVerdict::Again(Again { patience: Some(TOPIC_PATIENCE), ..MOVED })
        }
        // The disk of the leader failed, before or after the append; another replica takes over.
        E::KafkaStorageError | E::LogDirNotFound => RefusalVerdict::Again(Again { moved: true, ..UNSURE }),
        E::NetworkException | E::RequestTimedOut | E::NotEnoughReplicasAfterAppend => {
            RefusalVerdict::Again(UNSURE)
        }
        E::NotEnoughReplicas
        | E::ThrottlingQuotaExceeded
        | E::CoordinatorLoadInProgress
        | E::CoordinatorNotAvailable
        | E::NotCoordinator
        | E::ConcurrentTransactions
        | E::OffsetNotAvailable
        | E::ReassignmentInProgress => RefusalVerdict::Again(BUSY),
        E::OutOfOrderSequenceNumber => RefusalVerdict::OutOfOrder,
        E::DuplicateSequenceNumber
        | E::UnknownProducerId
        | E::InvalidProducerEpoch
        | E::InvalidProducerIdMapping
        | E::InvalidTxnState => RefusalVerdict::Resolve,
        E::ProducerFenced | E::TransactionCoordinatorFenced => RefusalVerdict::Fence,
        E::MessageTooLarge | E::RecordListTooLarge => RefusalVerdict::TooLarge,
        E::UnsupportedCompressionType | E::UnsupportedForMessageFormat => RefusalVerdict::Codec,
        E::InvalidRecord if message.is_some_and(|text| text.to_lowercase().contains("compress")) => {
            RefusalVerdict::Codec
        }
        E::InvalidRecord if compacted => RefusalVerdict::Refuse(FaultKind::MissingKey),
        E::CorruptMessage => RefusalVerdict::Corrupt,
        E::InvalidTimestamp => RefusalVerdict::Refuse(FaultKind::TimestampRefused),
        E::TopicAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed
        | E::DelegationTokenExpired
        | E::SaslAuthenticationFailed
        | E::IllegalSaslState => RefusalVerdict::Refuse(FaultKind::TargetUnauthorized),
        E::InvalidRecord
        | E::PolicyViolation
        | E::InvalidTopicException
        | E::InvalidRequiredAcks
        | E::InvalidRequest
        | E::UnsupportedVersion
        | E::InvalidConfig => RefusalVerdict::Refuse(FaultKind::TargetRefused),
        // Nothing of a producer's business, or newer than this program: it may mean anything.
        _ => RefusalVerdict::Again(Again { patience: Some(UNKNOWN_PATIENCE), ..UNSURE }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResponseError as E;

    fn of(code: E) -> RefusalVerdict {
        verdict(code, false, None)
    }

    fn again(code: E) -> Again {
        match of(code) {
            RefusalVerdict::Again(again) => again,
            other => panic!("{code:?} is {other:?}"),
        }
    }

    #[test]
    fn what_passes_is_sent_again_for_as_long_as_it_takes() {
        for code in
            [E::NotLeaderOrFollower, E::FencedLeaderEpoch, E::UnknownLeaderEpoch, E::LeaderNotAvailable]
        {
            assert_eq!(again(code), MOVED, "{code:?}");
        }
        for code in [E::NotEnoughReplicas, E::ThrottlingQuotaExceeded, E::CoordinatorLoadInProgress] {
            assert_eq!(again(code), BUSY, "{code:?}");
        }
        for code in [E::RequestTimedOut, E::NotEnoughReplicasAfterAppend, E::NetworkException] {
            assert_eq!(again(code), UNSURE, "{code:?}");
        }
        let storage = again(E::KafkaStorageError);
        assert!(storage.moved && storage.uncertain && storage.patience.is_none());
    }

    #[test]
    fn a_missing_topic_and_an_answer_without_meaning_are_waited_for_a_while() {
        let missing = again(E::UnknownTopicOrPartition);
        assert!(missing.moved && !missing.uncertain && missing.patience.is_some());
        for code in [E::UnknownServerError, E::Unknown(1234), E::OffsetOutOfRange] {
            let unknown = again(code);
            assert!(unknown.uncertain && unknown.patience.is_some(), "{code:?}");
        }
    }

    #[test]
    fn sequences_and_producers_are_never_mended_by_guessing() {
        assert_eq!(of(E::OutOfOrderSequenceNumber), RefusalVerdict::OutOfOrder);
        for code in [E::DuplicateSequenceNumber, E::UnknownProducerId, E::InvalidProducerEpoch] {
            assert_eq!(of(code), RefusalVerdict::Resolve, "{code:?}");
        }
        assert_eq!(of(E::ProducerFenced), RefusalVerdict::Fence);
    }

    #[test]
    fn what_can_be_written_another_way_is() {
        assert_eq!(of(E::MessageTooLarge), RefusalVerdict::TooLarge);
        assert_eq!(of(E::RecordListTooLarge), RefusalVerdict::TooLarge);
        assert_eq!(of(E::UnsupportedCompressionType), RefusalVerdict::Codec);
        assert_eq!(of(E::UnsupportedForMessageFormat), RefusalVerdict::Codec);
        let message = Some("Decompression is not possible");
        assert_eq!(verdict(E::InvalidRecord, true, message), RefusalVerdict::Codec);
        assert_eq!(of(E::CorruptMessage), RefusalVerdict::Corrupt);
    }

    #[test]
    fn what_a_person_has_to_mend_is_refused_under_its_kind() {
        let refused = [
            (E::InvalidTimestamp, FaultKind::TimestampRefused),
            (E::InvalidRecord, FaultKind::TargetRefused),
            (E::PolicyViolation, FaultKind::TargetRefused),
            (E::InvalidTopicException, FaultKind::TargetRefused),
            (E::InvalidRequiredAcks, FaultKind::TargetRefused),
            (E::TopicAuthorizationFailed, FaultKind::TargetUnauthorized),
            (E::ClusterAuthorizationFailed, FaultKind::TargetUnauthorized),
        ];
        for (code, kind) in refused {
            assert_eq!(of(code), RefusalVerdict::Refuse(kind), "{code:?}");
        }
        assert_eq!(verdict(E::InvalidRecord, true, None), RefusalVerdict::Refuse(FaultKind::MissingKey));
    }
}
