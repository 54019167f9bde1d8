//! TLS by rustls with the `ring` provider, from PEM texts; and what its failures mean.

use std::io;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, RootCertStore,
};

use super::error::WireErrorKind;
use super::frame::FrameError;
use super::hostname::AnyName;
use crate::config::client::TlsSettings;

/// Makes TLS connections as the settings say.
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Reads certificates and key; an error names the setting that is wrong.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, WireErrorKind> {
        let provider = Arc::new(ring::default_provider());
        let roots = roots(settings)?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| setting("ssl.enabled.protocols", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(roots, provider, settings.verify_hostname)?);
        let config = match client_certificate(settings)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                setting("ssl.keystore.key", format!("can't be used with the certificate: {error}"))
            })?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Does the handshake on a fresh TCP connection.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, WireErrorKind> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            WireErrorKind::Tls(format!("`{host}` is no host name that a certificate can be for"))
        })?;
        self.0.connect(name, stream).await.map_err(handshake_failed)
    }
}

fn setting(key: &'static str, detail: impl ToString) -> WireErrorKind {
    WireErrorKind::Settings { key, detail: detail.to_string() }
}

/// The authorities to trust: those of the settings, or the web's.
fn roots(settings: &TlsSettings) -> Result<RootCertStore, WireErrorKind> {
    const KEY: &str = "ssl.truststore.certificates";
    let mut store = RootCertStore::empty();
    let Some(pem) = &settings.ca_pem else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    for certificate in certificates(KEY, pem)? {
        store.add(certificate).map_err(|error| setting(KEY, error))?;
    }
    Ok(store)
}

fn certificates(key: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, WireErrorKind> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| setting(key, format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(setting(key, "holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(found)
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(settings: &TlsSettings) -> Result<Option<ClientCertificate>, WireErrorKind> {
    const CHAIN: &str = "ssl.keystore.certificate.chain";
    const KEY: &str = "ssl.keystore.key";
    let (chain, key) = match (&settings.certificate_pem, &settings.key_pem) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(setting(KEY, format!("is missing, but `{CHAIN}` is there"))),
        (None, Some(_)) => return Err(setting(CHAIN, format!("is missing, but `{KEY}` is there"))),
        (Some(chain), Some(key)) => (chain, key.expose_secret()),
    };
    if settings.key_password.is_some() || key.contains("ENCRYPTED") {
        let hint =
            "encrypted keys can't be read; store it decrypted (`openssl pkey -in key.pem -out plain.pem`)";
        return Err(setting(KEY, hint));
    }
    let chain = certificates(CHAIN, chain)?;
    // The parser's error never quotes the key.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| setting(KEY, format!("is no PEM private key: {error}")))?;
    Ok(Some((chain, key)))
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    verify_hostname: bool,
) -> Result<Arc<dyn ServerCertVerifier>, WireErrorKind> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| setting("ssl.truststore.certificates", error))?;
    Ok(if verify_hostname { verifier } else { Arc::new(AnyName(verifier)) })
}

/// What a failed handshake means.
fn handshake_failed(error: io::Error) -> WireErrorKind {
    match inner(&error) {
        Some(TlsError::InvalidMessage(_)) => WireErrorKind::Tls(
            "the broker doesn't speak TLS on this port, but `security.protocol` says so".to_owned(),
        ),
        Some(cause) => WireErrorKind::Tls(explain(cause)),
        None if closed(&error) => WireErrorKind::Connect(
            "the broker closed the connection during the TLS handshake: a plaintext listener does so when \
             `security.protocol` says TLS"
                .to_owned(),
        ),
        None => WireErrorKind::Connect(format!("TLS handshake: {error}")),
    }
}

/// What a failed read means. Under TLS 1.3 a broker's verdict on our certificate comes with the first read.
pub(super) fn read_failed(error: FrameError) -> WireErrorKind {
    match &error {
        FrameError::Tls => WireErrorKind::Tls(error.to_string()),
        FrameError::Io(cause) => match inner(cause) {
            Some(cause) => WireErrorKind::Tls(explain(cause)),
            // A process that dies says no goodbye, which TLS would like to hear.
            None if cause.kind() == io::ErrorKind::UnexpectedEof => {
                WireErrorKind::Lost(FrameError::Eof.to_string())
            }
            None => WireErrorKind::Lost(error.to_string()),
        },
        FrameError::Eof => WireErrorKind::Lost(error.to_string()),
        FrameError::Length(_) | FrameError::Http => WireErrorKind::Protocol(error.to_string()),
    }
}

fn inner(error: &io::Error) -> Option<&TlsError> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<TlsError>().or_else(|| inner.source()?.downcast_ref())
}

fn closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn explain(error: &TlsError) -> String {
    match error {
        // A bad signature: an authority of the same name as a trusted one, with another key.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the broker's certificate is signed by an unknown authority; put its CA into \
             `ssl.truststore.certificates`"
                .to_owned()
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the broker's certificate is for another host name ({error}); use the name it is for, or leave \
             `ssl.endpoint.identification.algorithm` empty"
        ),
        TlsError::InvalidCertificate(cause) => format!("the broker's certificate is refused: {cause}"),
        TlsError::AlertReceived(alert) => explain_alert(*alert),
        other => other.to_string(),
    }
}

/// What the broker tells us by an alert; the names are those of RFC 8446, section 6.
fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => format!(
            "the broker wants a client certificate, or another one ({alert:?}); see \
             `ssl.keystore.certificate.chain`"
        ),
        AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            format!("the broker refuses our client certificate ({alert:?})")
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            format!("no TLS version or cipher suite in common with the broker ({alert:?})")
        }
        other => format!("the broker ended the connection ({other:?})"),
    }
}
