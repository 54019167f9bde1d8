//! How to talk to a cluster: Kafka's Java client settings, mapped to both our clients.

mod jaas;
pub(crate) mod read;
mod security;
pub(crate) mod table;

use std::time::Duration;

use secrecy::SecretString;

/// Settings of the clients that talk to one cluster.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Bootstrap servers, `host:port`.
    pub bootstrap: Vec<String>,
    /// `client.id`; default `mirrormesh`.
    pub client_id: String,
    /// `client.rack`, for closest-replica fetching.
    pub rack: Option<String>,
    /// TLS, when `security.protocol` is SSL or SASL_SSL.
    pub tls: Option<TlsSettings>,
    /// SASL, when `security.protocol` is SASL_PLAINTEXT or SASL_SSL.
    pub sasl: Option<SaslSettings>,
    /// `request.timeout.ms`: how long one request may take.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// `reconnect.backoff.ms`: first pause before a connection is tried again.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// Settings for librdkafka's consumer on this cluster, already under librdkafka's names, applied last.
    pub rdkafka_consumer: Vec<(String, String)>,
    /// Settings for librdkafka's producer on this cluster, already under librdkafka's names, applied last.
    pub rdkafka_producer: Vec<(String, String)>,
}

/// TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM certificates to trust; `None` for the web's roots (built in).
    pub ca_pem: Option<String>,
    /// PEM client certificate chain.
    pub certificate_pem: Option<String>,
    /// PEM client key, not encrypted or encrypted with `key_password`.
    pub key_pem: Option<SecretString>,
    /// Password of the key. rustls reads only clear keys, so `check` refuses it with a hint.
    pub key_password: Option<SecretString>,
    /// `ssl.endpoint.identification.algorithm`: whether the host name is verified.
    pub verify_hostname: bool,
}

/// SASL.
#[derive(Clone, Debug)]
pub struct SaslSettings {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`: what both clients speak.
    pub mechanism: String,
    /// User.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

#[cfg(test)]
mod tests;
