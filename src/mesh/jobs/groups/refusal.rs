//! What an error of a cluster means for a group.

use crate::model::groups::{GroupRefusal, RefusalReason};
use crate::wire::WireError;

/// Sorts an error: the class counts, the text is for people.
pub(super) fn refusal(error: &WireError) -> GroupRefusal {
    let reason = if error.is_unauthorized() {
        RefusalReason::Unauthorized
    } else if error.is_unstable_offset() {
        RefusalReason::Unstable
    } else if error.is_unknown_member() {
        RefusalReason::Active
    } else if error.is_retriable() {
        RefusalReason::Unavailable
    } else {
        RefusalReason::Other
    };
    GroupRefusal { reason, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ResponseError, WireErrorKind};

    #[test]
    fn errors_are_sorted_by_what_a_person_can_do() {
        let reason = |kind: WireErrorKind| refusal(&WireError::new(&"west".into(), kind)).reason;
        let code = |code: ResponseError| reason(WireErrorKind::Refused { code, message: None });
        assert_eq!(code(ResponseError::GroupAuthorizationFailed), RefusalReason::Unauthorized);
        assert_eq!(code(ResponseError::TopicAuthorizationFailed), RefusalReason::Unauthorized);
        assert_eq!(code(ResponseError::UnstableOffsetCommit), RefusalReason::Unstable);
        assert_eq!(code(ResponseError::UnknownMemberId), RefusalReason::Active);
        assert_eq!(code(ResponseError::CoordinatorNotAvailable), RefusalReason::Unavailable);
        assert_eq!(code(ResponseError::InvalidGroupId), RefusalReason::Other);
        let away = refusal(&WireError::new(&"west".into(), WireErrorKind::Connect("refused".to_owned())));
        assert_eq!(away.reason, RefusalReason::Unavailable);
        assert!(away.detail.contains("can't connect: refused"), "{}", away.detail);
    }
}
