//! TLS against a server in this process: what works, and how what doesn't is told.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::client::TlsSettings;
use crate::wire::testing::{Scripted, settings};
use crate::wire::{Wire, WireError, WireErrorKind};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, in PEM.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// A broker with a certificate for `name`; it asks for client certificates of `clients`, if given.
async fn broker(authority: &Authority, name: &str, clients: Option<&Authority>) -> Scripted {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    Scripted::start_tls(config, |request| request.standard()).await
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings {
        ca_pem: Some(authority.pem()),
        certificate_pem: None,
        key_pem: None,
        key_password: None,
        verify_hostname: true,
    }
}

async fn try_it(broker: &Scripted, tls: TlsSettings) -> Result<(), WireError> {
    try_within(Duration::from_secs(10), broker, tls).await
}

/// [`try_it`] with a limit for each attempt to connect.
async fn try_within(limit: Duration, broker: &Scripted, tls: TlsSettings) -> Result<(), WireError> {
    let wire = broker.client_with(|settings| {
        settings.tls = Some(tls);
        settings.connect_timeout = limit;
    });
    wire.metadata(Some(&[])).await.map(drop)
}

#[tokio::test]
async fn a_broker_of_a_trusted_authority_is_talked_to() {
    let ca = authority("ca");
    try_it(&broker(&ca, "127.0.0.1", None).await, trusting(&ca)).await.unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_told() {
    let broker = broker(&authority("ca"), "127.0.0.1", None).await;
    let web = TlsSettings { ca_pem: None, ..trusting(&authority("ca")) };
    for tls in [trusting(&authority("other")), trusting(&authority("ca")), web] {
        let error = try_it(&broker, tls).await.unwrap_err();
        assert!(error.is_auth_refused() && error.to_string().contains("unknown authority"), "{error}");
    }
}

#[tokio::test]
async fn another_name_is_told_and_may_be_allowed() {
    let ca = authority("ca");
    let broker = broker(&ca, "kafka.example", None).await;
    let error = try_it(&broker, trusting(&ca)).await.unwrap_err();
    assert!(error.is_auth_refused() && error.to_string().contains("kafka.example"), "{error}");
    let anyone = TlsSettings { verify_hostname: false, ..trusting(&ca) };
    try_it(&broker, anyone).await.unwrap();
    // The authority still counts.
    let stranger = TlsSettings { verify_hostname: false, ..trusting(&authority("other")) };
    assert!(try_it(&broker, stranger).await.unwrap_err().to_string().contains("unknown authority"));
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_missed() {
    let (ca, clients) = (authority("ca"), authority("clients"));
    let broker = broker(&ca, "127.0.0.1", Some(&clients)).await;
    let with_certificate_of = |authority: &Authority| {
        let (certificate, key) = certificate(authority, "mesh");
        TlsSettings { certificate_pem: Some(certificate), key_pem: Some(key.into()), ..trusting(&ca) }
    };
    try_it(&broker, with_certificate_of(&clients)).await.unwrap();
    let error = try_it(&broker, trusting(&ca)).await.unwrap_err();
    assert!(error.is_auth_refused() && error.to_string().contains("wants a client certificate"), "{error}");
    for stranger in ["other", "clients"] {
        let error = try_it(&broker, with_certificate_of(&authority(stranger))).await.unwrap_err();
        assert!(error.is_auth_refused(), "{error}");
        assert!(error.to_string().contains("refuses our client certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_plaintext_listener_is_told_with_a_hint() {
    let broker = Scripted::start(|request| request.standard()).await;
    // It waits for more of what it takes for a request, so every attempt takes all of its time.
    let limit = Duration::from_millis(500);
    let error = try_within(limit, &broker, trusting(&authority("ca"))).await.unwrap_err();
    assert!(error.to_string().contains("a plaintext listener does so"), "{error}");
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_named() {
    let (certificate, key) = certificate(&authority("ca"), "mesh");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let good = || TlsSettings {
        certificate_pem: Some(certificate.clone()),
        key_pem: Some(key.clone().into()),
        ..trusting(&authority("ca"))
    };
    let cases = [
        (TlsSettings { ca_pem: Some("nonsense".into()), ..good() }, "ssl.truststore.certificates"),
        (TlsSettings { certificate_pem: None, ..good() }, "ssl.keystore.certificate.chain"),
        (TlsSettings { certificate_pem: Some(String::new()), ..good() }, "ssl.keystore.certificate.chain"),
        (TlsSettings { key_pem: None, ..good() }, "ssl.keystore.key"),
        (TlsSettings { key_pem: Some("secret-text".into()), ..good() }, "ssl.keystore.key"),
        (TlsSettings { key_pem: Some(encrypted.into()), ..good() }, "ssl.keystore.key"),
        (TlsSettings { key_password: Some("secret-text".into()), ..good() }, "ssl.keystore.key"),
    ];
    let open = |tls| {
        let mut settings = settings("127.0.0.1:1");
        settings.tls = Some(tls);
        Wire::new("east".into(), &settings)
    };
    open(good()).unwrap();
    for (tls, expected) in cases {
        let error = open(tls).unwrap_err();
        assert!(matches!(error.kind(), WireErrorKind::Settings { key, .. } if *key == expected), "{error}");
        assert!(!error.to_string().contains("secret-text"), "{error}");
    }
}
