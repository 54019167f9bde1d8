//! Connections: lost answers, throttling, broken frames, abandoned calls, brokers that aren't there.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiKey, MetadataResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeResponse,
};
use tokio::net::TcpListener;

use crate::config::client::SaslSettings;
use crate::wire::testing::{Reply, Scripted, names, nobody, offers, settings};
use crate::wire::{ResponseError, Wire, WireErrorKind};

/// A limit that is waited for, and that a whole attempt keeps to on any machine.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_lost_answer_ends_the_call_and_the_next_one_gets_a_new_connection() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => Reply::Silence,
        _ => request.standard(),
    })
    .await;
    let wire = broker.client_with(|settings| settings.request_timeout = SHORT);
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Timeout(_)), "{error}");
    assert!(error.is_unreachable() && error.is_retriable());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cluster `east`, broker {}, Metadata: no answer", broker.address())),
        "{text}"
    );
    wire.metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.connections(), 2);
}

#[tokio::test]
async fn a_closed_connection_is_made_anew_within_the_call() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0..2) => Reply::Close,
        _ => request.standard(),
    })
    .await;
    broker.client().metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.connections(), 3);
}

#[tokio::test]
async fn a_throttled_connection_keeps_quiet() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => request.answer(request.metadata().with_throttle_time_ms(20)),
        (ApiKey::Metadata, 1) => request.answer(request.metadata().with_throttle_time_ms(3_600_000)),
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    wire.metadata(Some(&[])).await.unwrap();
    wire.metadata(Some(&[])).await.unwrap();
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Throttled(left) if left.as_secs() > 3_000), "{error}");
    assert_eq!((broker.count(ApiKey::Metadata), broker.connections()), (2, 1));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn throttling_counts_even_if_the_caller_is_gone() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => {
            Reply::AfterNext(request.frame(&request.metadata().with_throttle_time_ms(3_600_000)))
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let abandoned = tokio::spawn({
        let wire = wire.clone();
        async move { wire.metadata(Some(&[])).await }
    });
    broker.saw(ApiKey::Metadata, 1).await;
    abandoned.abort();
    wire.metadata(Some(&[])).await.unwrap();
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Throttled(_)), "{error}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
async fn an_abandoned_call_leaves_the_connection_usable_and_requests_are_pipelined() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => Reply::AfterNext(request.frame(&request.metadata())),
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let abandoned = tokio::spawn({
        let wire = wire.clone();
        async move { wire.metadata(Some(&names(&["first"]))).await }
    });
    broker.saw(ApiKey::Metadata, 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    let second = wire.metadata(Some(&names(&["second"]))).await.unwrap();
    assert_eq!(second.topics[0].name.as_str(), "second");
    assert_eq!(broker.connections(), 1);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_told() {
    let cut_short = Bytes::from_static(b"\0\0\0\x02ab");
    let oversized = Bytes::from_static(b"\x7f\0\0\0");
    for (bytes, expected) in [(cut_short, "a frame of 2 bytes"), (oversized, "is this a Kafka port?")] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::Metadata => Reply::Bytes(bytes.clone()),
            _ => request.standard(),
        })
        .await;
        let error = broker.client().metadata(Some(&[])).await.unwrap_err();
        assert!(matches!(error.kind(), WireErrorKind::Protocol(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_retriable());
    }
}

#[tokio::test]
async fn an_answer_out_of_turn_ends_the_connection() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        (ApiKey::Metadata, 0) => request.answer_out_of_turn(request.metadata()),
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(error.to_string().contains("where 1 was due"), "{error}");
    wire.metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.connections(), 2);
}

#[tokio::test]
async fn an_answer_with_bytes_too_many_fails_only_its_call() {
    let broker = Scripted::start(|request| match (request.api, request.nth) {
        // Version 12 where version 4 is due.
        (ApiKey::Metadata, 0) => request.answer_in_version_0(MetadataResponse::default()),
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Protocol(_)), "{error}");
    wire.metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.connections(), 1);
}

#[tokio::test]
async fn a_tls_listener_is_recognised() {
    let alert = Bytes::from_static(&[21, 3, 3, 0, 2, 2, 80]);
    let broker = Scripted::start(move |_| Reply::Bytes(alert.clone())).await;
    let error = broker.client().metadata(Some(&[])).await.unwrap_err();
    assert!(matches!(error.kind(), WireErrorKind::Tls(text) if text.contains("speaks TLS")), "{error}");
    assert!(error.is_auth_refused() && !error.is_unreachable());
}

#[tokio::test]
async fn a_listener_that_hangs_up_at_once_is_told_with_a_hint() {
    let broker = Scripted::start(|_| Reply::Close).await;
    let wire = broker.client_with(|settings| settings.connect_timeout = SHORT);
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("a TLS listener does so"), "{error}");
}

#[tokio::test]
async fn a_listener_that_hangs_up_after_the_first_answer_is_told_with_another_hint() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Metadata => Reply::Close,
        _ => request.standard(),
    })
    .await;
    let wire = broker.client_with(|settings| settings.connect_timeout = SHORT);
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("a listener with SASL does so"), "{error}");
}

#[tokio::test]
async fn a_failed_attempt_is_not_repeated_during_the_pause() {
    let broker = Scripted::start(|_| Reply::Close).await;
    let wire = broker.client_with(|settings| {
        settings.connect_timeout = SHORT;
        settings.reconnect_backoff = Duration::from_secs(60);
        settings.reconnect_backoff_max = Duration::from_secs(60);
    });
    let first = wire.metadata(Some(&[])).await.unwrap_err();
    let second = wire.metadata(Some(&[])).await.unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(broker.connections(), 1);
}

#[tokio::test]
async fn a_connection_whose_authentication_expires_is_replaced() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::SaslHandshake => request.answer(SaslHandshakeResponse::default()),
        ApiKey::SaslAuthenticate => {
            let asked: SaslAuthenticateRequest = request.decode();
            assert_eq!(asked.auth_bytes, "\0mesh\0secret");
            request.answer(SaslAuthenticateResponse::default().with_session_lifetime_ms(1))
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client_with(|settings| {
        let (mechanism, username) = ("PLAIN".to_owned(), "mesh".to_owned());
        settings.sasl = Some(SaslSettings { mechanism, username, password: "secret".into() });
    });
    wire.metadata(Some(&[])).await.unwrap();
    // Longer than the millisecond that the broker grants.
    tokio::time::sleep(Duration::from_millis(5)).await;
    wire.metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.connections(), 2);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_unreachable_within_the_connect_timeout() {
    // Accepted by the kernel, never read.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&listener.local_addr().unwrap().to_string());
    settings.connect_timeout = Duration::from_millis(200);
    let wire = Wire::new("east".into(), &settings).unwrap();
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("within 200ms"), "{error}");
}

#[tokio::test]
async fn the_next_bootstrap_server_serves_where_the_first_does_not() {
    let (_held, gone) = nobody();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = Scripted::start(|request| request.standard()).await;
    let wire = broker.client_with(|settings| {
        settings.bootstrap =
            vec![gone.to_string(), silent.local_addr().unwrap().to_string(), broker.address()];
    });
    wire.metadata(Some(&[])).await.unwrap();
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_address() {
    let (_held, gone) = nobody();
    let mut settings = settings(&gone.to_string());
    settings.connect_timeout = SHORT;
    let error = Wire::new("east".into(), &settings).unwrap().metadata(None).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains(&gone.to_string()), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let mut wrong = settings("kafka");
    let error = Wire::new("east".into(), &wrong).unwrap_err();
    assert_eq!(error.to_string(), "cluster `east`: setting `bootstrap`: `kafka` is not `host:port`");
    wrong.bootstrap.clear();
    assert!(Wire::new("east".into(), &wrong).unwrap_err().to_string().ends_with("names no server"));
}

#[tokio::test]
async fn versions_are_asked_again_in_the_oldest_form() {
    let broker = Scripted::start(|request| match (request.api, request.version) {
        (ApiKey::ApiVersions, 3) => {
            let error_code = ResponseError::UnsupportedVersion.code();
            request.answer_in_version_0(offers(&[]).with_error_code(error_code))
        }
        (ApiKey::ApiVersions, version) => {
            assert_eq!(version, 0);
            request.answer(offers(&[(ApiKey::Metadata, 0, 7)]))
        }
        (ApiKey::Metadata, version) => {
            assert_eq!(version, 7);
            request.standard()
        }
        _ => request.standard(),
    })
    .await;
    broker.client().metadata(Some(&[])).await.unwrap();
    assert_eq!(broker.count(ApiKey::ApiVersions), 2);
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let broker = Scripted::start(|request| request.standard()).await;
    let wire = broker.client();
    wire.metadata(Some(&[])).await.unwrap();
    wire.close().await;
    let error = wire.metadata(Some(&[])).await.unwrap_err();
    assert_eq!(error.kind(), &WireErrorKind::Closed);
}
