//! Calls that a broker has and this one hasn't, as far as clients that ask for them all the same need an answer.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, ApiKey, ConsumerGroupHeartbeatResponse, EndTxnResponse, HeartbeatResponse,
    JoinGroupResponse, LeaveGroupResponse, SyncGroupResponse,
};
use kafka_protocol::protocol::Message;

use super::Call;

macro_rules! unsupported {
    ($($name:ident: $answer:ty;)*) => {
        /// UNSUPPORTED_VERSION, for calls that have a place for it.
        pub(super) fn answer(call: &Call) -> Option<Bytes> {
            let (code, version) = (ResponseError::UnsupportedVersion.code(), call.version());
            match call.request.api {
                $(ApiKey::$name => {
                    let known = <$answer as Message>::VERSIONS;
                    let known = (known.min..=known.max).contains(&version);
                    known.then(|| call.request.frame(&<$answer>::default().with_error_code(code)))
                })*
                _ => None,
            }
        }
    };
}

unsupported! {
    AddOffsetsToTxn: AddOffsetsToTxnResponse;
    ConsumerGroupHeartbeat: ConsumerGroupHeartbeatResponse;
    EndTxn: EndTxnResponse;
    Heartbeat: HeartbeatResponse;
    JoinGroup: JoinGroupResponse;
    LeaveGroup: LeaveGroupResponse;
    SyncGroup: SyncGroupResponse;
}
