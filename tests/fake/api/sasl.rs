//! SaslHandshake and SaslAuthenticate, with the mechanism PLAIN (KIP-43, KIP-152).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

use super::super::connection::Login;
use super::super::state::text;
use super::{Call, Outcome};

const MECHANISM: &str = "PLAIN";

/// A handshake where nobody need log in, or has done so.
pub(super) fn without_login(_: &Call, _: &SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code())
}

/// Authentication where nobody need log in, or has done so.
pub(super) fn not_now(_: &Call, _: &SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    let message = "SaslAuthenticate request received after successful authentication";
    SaslAuthenticateResponse::default()
        .with_error_code(ResponseError::IllegalSaslState.code())
        .with_error_message(Some(text(message)))
}

/// A request before the client has logged in; any other than these two closes the connection.
pub(super) fn log_in(call: &Call, login: &mut Login) -> Outcome {
    match call.request.api {
        ApiKey::SaslHandshake => {
            let Some(asked) = call.request.try_decode::<SaslHandshakeRequest>() else {
                return Outcome::Close;
            };
            login.mechanism_agreed = asked.mechanism.as_str() == MECHANISM;
            let answer = SaslHandshakeResponse::default().with_mechanisms(vec![text(MECHANISM)]);
            if login.mechanism_agreed {
                return Outcome::Answer(call.request.frame(&answer));
            }
            let code = ResponseError::UnsupportedSaslMechanism.code();
            Outcome::Last(call.request.frame(&answer.with_error_code(code)))
        }
        ApiKey::SaslAuthenticate if login.mechanism_agreed => {
            let Some(asked) = call.request.try_decode::<SaslAuthenticateRequest>() else {
                return Outcome::Close;
            };
            // Whom to act for, who it is, password: divided by zeros.
            let given: Vec<&[u8]> = asked.auth_bytes.split(|byte| *byte == 0).collect();
            let right = call.shared.login.as_ref().is_some_and(|(user, password)| {
                matches!(given[..], [_, name, secret] if name == user.as_bytes() && secret == password.as_bytes())
            });
            let answer = SaslAuthenticateResponse::default();
            if right {
                login.done = true;
                return Outcome::Answer(call.request.frame(&answer));
            }
            let message = "Authentication failed: Invalid username or password";
            let answer = answer
                .with_error_code(ResponseError::SaslAuthenticationFailed.code())
                .with_error_message(Some(text(message)));
            Outcome::Last(call.request.frame(&answer))
        }
        _ => Outcome::Close,
    }
}
