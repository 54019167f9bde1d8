//! From an address to a connection ready for use: TCP, TLS, ApiVersions, SASL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::buffers::Buffers;
use super::call::{Call, Offered};
use super::connection::{Connection, Stream};
use super::error::{WireError, WireErrorKind};
use super::sasl;
use super::throttling::Throttling;
use super::tls::Tls;
use crate::config::client::ClientSettings;
use crate::model::Alias;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port`, `[v6]:port`, or `LISTENER://host:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(v6) => v6,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Makes connections to the brokers of one cluster.
pub(super) struct Dialer {
    cluster: Alias,
    settings: ClientSettings,
    tls: Option<Tls>,
    buffers: Arc<Buffers>,
    throttling: Arc<Throttling>,
}

impl Dialer {
    /// Reads certificates and keys; nothing is connected yet.
    pub(super) fn new(cluster: &Alias, settings: &ClientSettings) -> Result<Self, WireError> {
        let tls = settings.tls.as_ref().map(Tls::new).transpose();
        let tls = tls.map_err(|kind| WireError::new(cluster, kind))?;
        if let Some(sasl) = &settings.sasl {
            sasl::check(sasl).map_err(|kind| WireError::new(cluster, kind))?;
        }
        let (cluster, settings) = (cluster.clone(), settings.clone());
        Ok(Self { cluster, settings, tls, buffers: Arc::default(), throttling: Arc::default() })
    }

    /// Connects, within `connect_timeout` for everything together.
    pub(super) async fn dial(&self, address: &Address) -> Result<Connection, WireError> {
        let limit = self.settings.connect_timeout;
        match timeout(limit, self.establish(address)).await {
            Ok(result) => result.map_err(|error| error.at(&address.to_string())),
            Err(_) => {
                let detail = format!("no connection within {limit:?}");
                Err(self.error(WireErrorKind::Connect(detail)).at(&address.to_string()))
            }
        }
    }

    /// Where the connections get memory for large answers.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// What the cluster held back so far.
    pub(super) fn throttling(&self) -> &Throttling {
        &self.throttling
    }

    fn error(&self, kind: WireErrorKind) -> WireError {
        WireError::new(&self.cluster, kind)
    }

    async fn establish(&self, address: &Address) -> Result<Connection, WireError> {
        let tcp = self.connect(address).await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(tls.connect(&address.host, tcp).await.map_err(|kind| self.error(kind))?),
        };
        let mut connection = Connection::start(
            self.cluster.clone(),
            address.to_string(),
            &self.settings.client_id,
            stream,
            self.buffers.clone(),
            self.throttling.clone(),
        );
        if self.tls.is_none() {
            connection.set_hint("a TLS listener does so when `security.protocol` says plaintext");
        }
        let (offered, round_trip) = self.ask_versions(&connection).await?;
        connection.set_offered(offered);
        connection.set_round_trip(round_trip);
        match &self.settings.sasl {
            Some(settings) => {
                let lifetime =
                    sasl::authenticate(&connection, settings, self.settings.connect_timeout).await?;
                connection.set_expiry(lifetime.map(|lifetime| Instant::now() + lifetime));
            }
            None => connection
                .set_hint("a listener with SASL does so when `security.protocol` says nothing of it"),
        }
        tracing::debug!(target: crate::wire::LOG, cluster = %self.cluster, broker = %address, "connected");
        Ok(connection)
    }

    /// Tries each of the host's addresses, each for its share of the time: one that swallows packets leaves the
    /// others theirs.
    async fn connect(&self, address: &Address) -> Result<TcpStream, WireError> {
        let failed = |detail: String| self.error(WireErrorKind::Connect(detail));
        let found: Vec<_> = tokio::net::lookup_host((address.host.as_str(), address.port))
            .await
            .map_err(|error| failed(format!("host name `{}`: {error}", address.host)))?
            .collect();
        let share = self.settings.connect_timeout / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX);
        let mut last = format!("host name `{}` has no address", address.host);
        for socket in found {
            match timeout_at(Instant::now() + share, TcpStream::connect(socket)).await {
                Ok(Ok(stream)) => {
                    // Requests are written whole: waiting to fill packets only delays them.
                    stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no connection within {share:?}"),
            }
        }
        Err(failed(last))
    }

    /// Asks what the broker offers: in version 3, or in version 0 where that is all it understands. Tells as well how
    /// long the answer took.
    async fn ask_versions(&self, connection: &Connection) -> Result<(Offered, Duration), WireError> {
        let limit = self.settings.connect_timeout;
        for version in [3, 0] {
            let asked = Instant::now();
            let answer = connection.call_in(version, limit, versions_request(version)).await?;
            match answer.error_code.err() {
                None => return Ok((Offered::new(&answer), asked.elapsed())),
                Some(ResponseError::UnsupportedVersion) if version > 0 => {}
                Some(code) => {
                    let error = WireError::refused(&self.cluster, code, None);
                    return Err(error.during(ApiVersionsRequest::NAME));
                }
            }
        }
        Err(self.error(WireErrorKind::Unsupported("ApiVersions in version 0 or 3".into())))
    }
}

fn versions_request(version: i16) -> ApiVersionsRequest {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = StrBytes::from_static_str(env!("CARGO_PKG_NAME"));
        request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
    }
    request
}

/// How long a pause before the next connection attempt: doubled with each failure, ± 20 % so that many clients
/// don't come back in step.
pub(super) fn reconnect_pause(settings: &ClientSettings, failures: u32) -> Duration {
    let doubled = settings.reconnect_backoff.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(settings.reconnect_backoff_max).mul_f64(rand::random_range(0.8..=1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        let address = |host: &str, port| Some(Address { host: host.into(), port });
        assert_eq!(Address::parse("kafka-1.example:9092"), address("kafka-1.example", 9092));
        assert_eq!(Address::parse(" [::1]:9093"), address("::1", 9093));
        assert_eq!(Address::parse("SASL_SSL://b:9094"), address("b", 9094));
        for wrong in ["kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "::1:9092", ""] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Address::parse("[::1]:9093").unwrap().to_string(), "[::1]:9093");
    }
}
