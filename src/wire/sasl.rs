//! SASL PLAIN and SCRAM, carried in SaslHandshake and SaslAuthenticate requests (KIP-43, KIP-152).

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::prelude::{Mechname, MessageSent, SASLClient, SASLConfig, SASLError, Session, State};
use secrecy::ExposeSecret;

use super::call::Call;
use super::connection::Connection;
use super::error::{WireError, WireErrorKind};
use crate::config::client::SaslSettings;

/// The mechanisms that this connection speaks.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Share of the session's lifetime after which a new connection takes over: a broker closes one that outlived it
/// (KIP-368).
const LIFETIME_USED: f64 = 0.85;

/// Says whether the settings can be used at all.
pub(super) fn check(settings: &SaslSettings) -> Result<(), WireErrorKind> {
    if MECHANISMS.contains(&settings.mechanism.as_str()) {
        return Ok(());
    }
    let detail = format!("`{}` is not one of {}", settings.mechanism, MECHANISMS.join(", "));
    Err(WireErrorKind::Settings { key: "sasl.mechanism", detail })
}

/// Authenticates a fresh connection; returns for how long it may be used, if that is limited.
pub(super) async fn authenticate(
    connection: &Connection,
    settings: &SaslSettings,
    limit: Duration,
) -> Result<Option<Duration>, WireError> {
    shake_hands(connection, settings, limit).await?;
    let mechanism_failed = |error: &dyn std::fmt::Display| {
        connection.error(WireErrorKind::AuthRefused(refusal(settings, error)))
    };
    let mut session = start(settings).map_err(|error| mechanism_failed(&error))?;
    let mut challenge: Option<Bytes> = None;
    let mut lifetime = None;
    loop {
        let mut reply = Vec::new();
        let state =
            session.step(challenge.as_deref(), &mut reply).map_err(|error| mechanism_failed(&error))?;
        if state == State::Finished(MessageSent::No) {
            return Ok(lifetime);
        }
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(reply));
        let answer = connection.call(limit, |_| request).await?;
        if let Some(code) = answer.error_code.err() {
            return Err(refused(connection, settings, code, answer.error_message.as_deref()));
        }
        lifetime = usable_lifetime(answer.session_lifetime_ms);
        if state.is_finished() {
            return Ok(lifetime);
        }
        challenge = Some(answer.auth_bytes);
    }
}

/// Agrees on the mechanism.
async fn shake_hands(
    connection: &Connection,
    settings: &SaslSettings,
    limit: Duration,
) -> Result<(), WireError> {
    let mechanism = StrBytes::from_string(settings.mechanism.clone());
    let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
    let answer = connection.call(limit, |_| request).await?;
    match answer.error_code.err() {
        None => Ok(()),
        Some(ResponseError::UnsupportedSaslMechanism) => {
            let offered: Vec<_> = answer.mechanisms.iter().map(|name| name.as_str()).collect();
            let detail = format!(
                "the listener doesn't offer SASL/{}; it offers {}",
                settings.mechanism,
                offered.join(", ")
            );
            Err(connection.error(WireErrorKind::AuthRefused(detail)))
        }
        Some(ResponseError::IllegalSaslState) => {
            let detail = "the listener expects no SASL; is `security.protocol` right?".to_owned();
            Err(connection.error(WireErrorKind::AuthRefused(detail)))
        }
        Some(code) => Err(refused(connection, settings, code, None)),
    }
}

fn start(settings: &SaslSettings) -> Result<Session, SASLError> {
    let password = settings.password.expose_secret().to_owned();
    let config = SASLConfig::with_credentials(None, settings.username.clone(), password)?;
    let mechanism =
        Mechname::parse(settings.mechanism.as_bytes()).map_err(|_| SASLError::NoSharedMechanism)?;
    SASLClient::new(config).start_suggested(&[mechanism])
}

fn refused(
    connection: &Connection,
    settings: &SaslSettings,
    code: ResponseError,
    message: Option<&str>,
) -> WireError {
    if code != ResponseError::SaslAuthenticationFailed {
        let message = message.map(str::to_owned);
        return connection
            .error(WireErrorKind::Refused { code, message })
            .during(SaslAuthenticateRequest::NAME);
    }
    let detail = match message {
        Some(text) if !text.is_empty() => format!("{}: {text}", wrong_password(settings)),
        _ => wrong_password(settings),
    };
    connection.error(WireErrorKind::AuthRefused(detail))
}

fn wrong_password(settings: &SaslSettings) -> String {
    format!("wrong user or password for SASL/{} as user `{}`", settings.mechanism, settings.username)
}

/// Our side gave up: the broker's proof is wrong, or the mechanism can't work with these credentials.
fn refusal(settings: &SaslSettings, error: &dyn std::fmt::Display) -> String {
    format!("SASL/{} as user `{}` can't be completed: {error}", settings.mechanism, settings.username)
}

fn usable_lifetime(lifetime_ms: i64) -> Option<Duration> {
    let lifetime = Duration::from_millis(u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0)?);
    Some(lifetime.mul_f64(LIFETIME_USED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_we_do_not_speak_are_refused_by_name() {
        let settings = |mechanism: &str| SaslSettings {
            mechanism: mechanism.into(),
            username: "u".into(),
            password: "p".into(),
        };
        for mechanism in MECHANISMS {
            check(&settings(mechanism)).unwrap();
            start(&settings(mechanism)).unwrap();
        }
        let Err(WireErrorKind::Settings { key, detail }) = check(&settings("GSSAPI")) else { panic!() };
        assert_eq!(key, "sasl.mechanism");
        assert!(detail.contains("`GSSAPI`") && detail.contains("SCRAM-SHA-512"));
    }

    #[test]
    fn a_session_without_limit_has_none() {
        assert_eq!(usable_lifetime(0), None);
        assert_eq!(usable_lifetime(60_000), Some(Duration::from_secs(51)));
    }
}
