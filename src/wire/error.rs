//! What can go wrong on the wire: class, place and text.

use std::fmt;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use thiserror::Error;

use crate::model::Alias;

/// A call that failed: what happened, on which cluster and broker, in which call and about what.
#[derive(Clone)]
pub struct WireError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    cluster: Alias,
    broker: Option<String>,
    call: Option<&'static str>,
    about: Option<String>,
    kind: WireErrorKind,
    sent: bool,
    settled: bool,
    outcome_unknown: bool,
}

/// The classes of wire errors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireErrorKind {
    /// A client setting can't be used.
    #[error("setting `{key}`: {detail}")]
    Settings {
        /// The setting's Java name.
        key: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// No connection could be made.
    #[error("can't connect: {0}")]
    Connect(String),
    /// No answer within the time allowed; the connection was closed.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The broker throttles us, and does not answer what was asked, or not before the call's time is up.
    #[error("throttled by the broker for another {0:?}")]
    Throttled(Duration),
    /// TLS failed in a way that waiting won't mend: trust, names, certificates, wrong protocol.
    #[error("TLS: {0}")]
    Tls(String),
    /// The broker doesn't accept our credentials.
    #[error("authentication refused: {0}")]
    AuthRefused(String),
    /// The broker doesn't offer the call, or not in a version that we speak.
    #[error("not offered by this broker: {0}")]
    Unsupported(String),
    /// The broker answered something that can't be understood.
    #[error("broken answer: {0}")]
    Protocol(String),
    /// The broker answered with an error code.
    #[error("{}", code_text(*.code, .message.as_deref()))]
    Refused {
        /// The code.
        code: ResponseError,
        /// What the broker says about it.
        message: Option<String>,
    },
    /// A batch can't be decoded or built.
    #[error("record batch: {0}")]
    Batch(String),
    /// [`close`](super::Wire::close) was called.
    #[error("the client is closed")]
    Closed,
}

impl WireError {
    /// An error of a cluster; broker, call and subject are added as they are known.
    pub(crate) fn new(cluster: &Alias, kind: WireErrorKind) -> Self {
        Self(Box::new(Inner {
            cluster: cluster.clone(),
            broker: None,
            call: None,
            about: None,
            kind,
            sent: false,
            settled: false,
            outcome_unknown: false,
        }))
    }

    pub(crate) fn refused(cluster: &Alias, code: ResponseError, message: Option<&str>) -> Self {
        let message = message.map(str::to_owned).filter(|text| !text.is_empty());
        Self::new(cluster, WireErrorKind::Refused { code, message })
    }

    /// Names the broker, unless one is named already.
    pub(super) fn at(mut self, broker: &str) -> Self {
        self.0.broker.get_or_insert_with(|| broker.to_owned());
        self
    }

    /// Names the call, unless one is named already.
    pub(super) fn during(mut self, call: &'static str) -> Self {
        self.0.call.get_or_insert(call);
        self
    }

    /// Names what the call was about, unless that is named already.
    pub(super) fn about(mut self, what: impl fmt::Display) -> Self {
        self.0.about.get_or_insert_with(|| what.to_string());
        self
    }

    /// Notes that the request had been handed to the broker when it failed.
    pub(super) fn after_sending(mut self) -> Self {
        self.0.sent = true;
        self
    }

    /// Whether the request may have reached the broker; `false` says that no byte of it was written.
    pub fn may_have_been_sent(&self) -> bool {
        self.0.sent
    }

    /// Notes that asking again won't change the answer for now, whatever its class.
    pub(crate) fn settle(mut self) -> Self {
        self.0.settled = true;
        self
    }

    /// Whether asking again within the same call makes sense.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        self.is_retriable() && !self.0.settled
    }

    pub(super) fn with_unknown_outcome(mut self) -> Self {
        self.0.outcome_unknown = true;
        self
    }

    /// The class, with what belongs to it.
    pub fn kind(&self) -> &WireErrorKind {
        &self.0.kind
    }

    /// The cluster that was talked to.
    pub fn cluster(&self) -> &Alias {
        &self.0.cluster
    }

    /// The error code the broker answered with, if it answered.
    pub fn code(&self) -> Option<ResponseError> {
        match self.0.kind {
            WireErrorKind::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What the broker said about its error code.
    pub fn broker_message(&self) -> Option<&str> {
        match &self.0.kind {
            WireErrorKind::Refused { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    /// Whether it is likely to pass by itself.
    pub fn is_retriable(&self) -> bool {
        match &self.0.kind {
            WireErrorKind::Refused { code, .. } => {
                code.is_retriable() || *code == ResponseError::BrokerNotAvailable
            }
            _ => self.is_unreachable() || matches!(self.0.kind, WireErrorKind::Throttled(_)),
        }
    }

    /// Whether the broker could not be reached: no connection, a broken one, or no answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.0.kind, WireErrorKind::Connect(_) | WireErrorKind::Timeout(_) | WireErrorKind::Lost(_))
    }

    /// Whether the broker refuses to talk to us, or we to it: wrong password, wrong or missing certificate,
    /// unknown authority, wrong security protocol.
    pub fn is_auth_refused(&self) -> bool {
        matches!(self.0.kind, WireErrorKind::AuthRefused(_) | WireErrorKind::Tls(_))
            || matches!(
                self.code(),
                Some(ResponseError::SaslAuthenticationFailed | ResponseError::IllegalSaslState)
            )
    }

    /// Whether our credentials lack a right, on a topic or on the cluster.
    pub fn is_unauthorized(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ResponseError::TopicAuthorizationFailed
                    | ResponseError::ClusterAuthorizationFailed
                    | ResponseError::GroupAuthorizationFailed
                    | ResponseError::TransactionalIdAuthorizationFailed
            )
        )
    }

    /// Whether our credentials lack a right on a group.
    pub fn is_group_unauthorized(&self) -> bool {
        self.code() == Some(ResponseError::GroupAuthorizationFailed)
    }

    /// Whether a group has members, and so takes commits from nobody else.
    pub fn is_unknown_member(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ResponseError::UnknownMemberId
                    | ResponseError::IllegalGeneration
                    | ResponseError::RebalanceInProgress
                    | ResponseError::FencedMemberEpoch
                    | ResponseError::StaleMemberEpoch
            )
        )
    }

    /// Whether a committed offset is about to change: a transaction that commits another is open.
    pub fn is_unstable_offset(&self) -> bool {
        self.code() == Some(ResponseError::UnstableOffsetCommit)
    }

    /// Whether the topic or partition does not exist.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self.code(), Some(ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId))
    }

    /// Whether the broker answered, with an error code.
    pub fn is_answer(&self) -> bool {
        self.code().is_some()
    }

    /// Whether there is no record at the offset asked for, nor will one come: the log begins behind it or ends before it.
    pub fn is_offset_out_of_range(&self) -> bool {
        self.code() == Some(ResponseError::OffsetOutOfRange)
    }

    /// Whether the broker does not take a configuration entry.
    pub fn is_invalid_config(&self) -> bool {
        self.code() == Some(ResponseError::InvalidConfig)
    }

    /// Whether the topic to be created exists already. A call repeated after a lost answer may say so of its own
    /// first try.
    pub fn is_already_there(&self) -> bool {
        self.code() == Some(ResponseError::TopicAlreadyExists)
    }

    /// Whether the broker doesn't offer the call.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, WireErrorKind::Unsupported(_))
            || self.code() == Some(ResponseError::UnsupportedVersion)
    }

    /// Whether a write may have happened although it failed; `false` says that nothing was written.
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.outcome_unknown
    }

    /// Whether another leader or controller should be looked for.
    pub(super) fn is_misrouted(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ResponseError::NotLeaderOrFollower
                    | ResponseError::FencedLeaderEpoch
                    | ResponseError::UnknownLeaderEpoch
                    | ResponseError::LeaderNotAvailable
                    | ResponseError::ReplicaNotAvailable
                    | ResponseError::UnknownTopicOrPartition
                    | ResponseError::KafkaStorageError
                    | ResponseError::NotController
            )
        ) || self.is_unreachable()
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "cluster `{}`", inner.cluster)?;
        if let Some(broker) = &inner.broker {
            write!(f, ", broker {broker}")?;
        }
        if let Some(call) = inner.call {
            write!(f, ", {call}")?;
        }
        if let Some(about) = &inner.about {
            write!(f, " of {about}")?;
        }
        write!(f, ": {}", inner.kind)?;
        if inner.outcome_unknown {
            f.write_str("; whether it was carried out is not known")?;
        }
        Ok(())
    }
}

impl fmt::Debug for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for WireError {}

/// `NOT_LEADER_OR_FOLLOWER (6): what the broker says`.
fn code_text(code: ResponseError, message: Option<&str>) -> String {
    let mut name = String::new();
    match code {
        ResponseError::Unknown(_) => name.push_str("unknown error"),
        known => {
            for letter in known.to_string().chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
        }
    }
    match message {
        Some(text) => format!("{name} ({}): {text}", code.code()),
        None => format!("{name} ({})", code.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_cluster_broker_call_and_subject() {
        let error = WireError::refused(&"east".into(), ResponseError::NotLeaderOrFollower, None)
            .at("10.0.0.1:9092")
            .during("ListOffsets")
            .about("orders-0");
        assert_eq!(
            error.to_string(),
            "cluster `east`, broker 10.0.0.1:9092, ListOffsets of orders-0: NOT_LEADER_OR_FOLLOWER (6)"
        );
        assert!(error.is_retriable() && error.is_misrouted() && !error.is_unreachable());
    }

    #[test]
    fn codes_are_asked_about_by_their_meaning() {
        let of = |code| WireError::refused(&"east".into(), code, None);
        assert!(of(ResponseError::OffsetOutOfRange).is_offset_out_of_range());
        assert!(!of(ResponseError::InvalidConfig).is_offset_out_of_range());
        assert!(of(ResponseError::InvalidConfig).is_invalid_config());
        assert!(!of(ResponseError::OffsetOutOfRange).is_invalid_config());
        assert!(of(ResponseError::InvalidConfig).is_answer());
        let lost = WireError::new(&"east".into(), WireErrorKind::Lost("reset".to_owned()));
        assert!(!lost.is_answer());
    }

    #[test]
    fn what_the_broker_says_is_kept() {
        let error = WireError::refused(
            &"east".into(),
            ResponseError::InvalidConfig,
            Some("Unknown topic config name: foo"),
        );
        assert_eq!(error.to_string(), "cluster `east`: INVALID_CONFIG (40): Unknown topic config name: foo");
        assert_eq!(error.broker_message(), Some("Unknown topic config name: foo"));
        assert!(!error.is_retriable());
    }

    #[test]
    fn an_unknown_code_keeps_its_number() {
        let error = WireError::refused(&"east".into(), ResponseError::Unknown(1234), None);
        assert_eq!(error.to_string(), "cluster `east`: unknown error (1234)");
    }

    #[test]
    fn an_unknown_outcome_is_told() {
        let error =
            WireError::new(&"east".into(), WireErrorKind::Lost("reset".into())).with_unknown_outcome();
        assert!(error.is_outcome_unknown() && error.is_unreachable());
        assert!(error.to_string().ends_with("whether it was carried out is not known"));
    }
}
