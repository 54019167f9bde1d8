//! For the tests of this room: settings, and a broker whose answers are a function in the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, StrBytes, decode_request_header_from_buffer,
};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::client::Wire;
use super::connection::Stream;
use super::frame::FrameReader;
use crate::config::client::ClientSettings;
use crate::model::{TopicName, TopicPartition};

/// Plaintext settings with short, whole limits.
pub(crate) fn settings(bootstrap: &str) -> ClientSettings {
    ClientSettings {
        bootstrap: bootstrap.split(',').map(str::to_owned).collect(),
        client_id: "mirrormesh".to_owned(),
        rack: None,
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_millis(500),
        rdkafka_consumer: Vec::new(),
        rdkafka_producer: Vec::new(),
    }
}

/// An address at which nobody listens, and nobody else can while the socket is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("there is a free port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// The leader epoch that [`Request::standard`] tells.
pub(crate) const EPOCH: i32 = 7;

/// The first partition of a topic.
pub(crate) fn place(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

/// Names of topics.
pub(crate) fn names(topics: &[&str]) -> Vec<TopicName> {
    topics.iter().map(|topic| TopicName::from(*topic)).collect()
}

/// A request as the scripted broker got it.
pub(crate) struct Request {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    /// How many of this call came before, on all connections.
    pub(crate) nth: usize,
    correlation: i32,
    body: Bytes,
    broker: SocketAddr,
}

/// What the scripted broker does with a request.
pub(crate) enum Reply {
    /// Sends these bytes, length included.
    Bytes(Bytes),
    /// Sends these bytes once the next request is there.
    AfterNext(Bytes),
    /// Says nothing.
    Silence,
    /// Closes the connection.
    Close,
}

impl Request {
    /// The request itself.
    pub(crate) fn decode<R: Decodable>(&self) -> R {
        R::decode(&mut self.body.clone(), self.version).expect("the request can be decoded")
    }

    /// An answer to it, framed.
    pub(crate) fn frame<A: Encodable + HeaderVersion>(&self, answer: &A) -> Bytes {
        self.frame_in(self.version, self.correlation, answer)
    }

    /// An answer in another version, or to another request.
    pub(crate) fn frame_in<A: Encodable + HeaderVersion>(
        &self,
        version: i16,
        correlation: i32,
        answer: &A,
    ) -> Bytes {
        let mut body = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(correlation);
        header.encode(&mut body, A::header_version(version)).expect("the header can be encoded");
        answer.encode(&mut body, version).expect("the answer can be encoded");
        let mut frame = BytesMut::new();
        frame.put_u32(u32::try_from(body.len()).expect("an answer is short"));
        frame.extend_from_slice(&body);
        frame.freeze()
    }

    /// Answers it.
    pub(crate) fn answer<A: Encodable + HeaderVersion>(&self, answer: A) -> Reply {
        Reply::Bytes(self.frame(&answer))
    }

    /// Answers an answer that belongs to another request.
    pub(crate) fn answer_out_of_turn<A: Encodable + HeaderVersion>(&self, answer: A) -> Reply {
        Reply::Bytes(self.frame_in(self.version, self.correlation + 1, &answer))
    }

    /// Answers it in version 0, as a broker that doesn't know the version asked for.
    pub(crate) fn answer_in_version_0<A: Encodable + HeaderVersion>(&self, answer: A) -> Reply {
        Reply::Bytes(self.frame_in(0, self.correlation, &answer))
    }

    /// Answers ApiVersions, Metadata and FindCoordinator like a one-broker cluster that has every topic with one
    /// partition.
    pub(crate) fn standard(&self) -> Reply {
        match self.api {
            ApiKey::ApiVersions => self.answer(offers(&[])),
            ApiKey::Metadata => self.answer(self.metadata()),
            ApiKey::FindCoordinator => self.answer(self.coordinators()),
            other => panic!("the script has no answer to {other:?}"),
        }
    }

    /// What [`Request::standard`] answers to Metadata.
    pub(crate) fn metadata(&self) -> MetadataResponse {
        let asked = self.decode::<MetadataRequest>().topics.unwrap_or_default();
        let broker = MetadataResponseBroker::default()
            .with_node_id(1.into())
            .with_host(StrBytes::from_string(self.broker.ip().to_string()))
            .with_port(self.broker.port().into());
        let partition = MetadataResponsePartition::default()
            .with_leader_id(1.into())
            .with_leader_epoch(if self.version >= 7 { EPOCH } else { -1 });
        let topics = asked.into_iter().map(|topic| {
            MetadataResponseTopic::default().with_name(topic.name).with_partitions(vec![partition.clone()])
        });
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_controller_id(1.into())
            .with_topics(topics.collect())
    }

    /// What [`Request::standard`] answers to FindCoordinator.
    pub(crate) fn coordinators(&self) -> FindCoordinatorResponse {
        let asked: FindCoordinatorRequest = self.decode();
        let host = StrBytes::from_string(self.broker.ip().to_string());
        if self.version < 4 {
            let answer = FindCoordinatorResponse::default().with_node_id(1.into());
            return answer.with_host(host).with_port(self.broker.port().into());
        }
        let found = asked.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(1.into())
                .with_host(host.clone())
                .with_port(self.broker.port().into())
        });
        FindCoordinatorResponse::default().with_coordinators(found.collect())
    }
}

/// What a broker offers: everything that we speak, but for the calls named here, which get these versions (none
/// at all if the range is empty).
pub(crate) fn offers(special: &[(ApiKey, i16, i16)]) -> ApiVersionsResponse {
    let known = [
        (ApiKey::ApiVersions, 0, 4),
        (ApiKey::SaslHandshake, 0, 1),
        (ApiKey::SaslAuthenticate, 0, 2),
        (ApiKey::Metadata, 0, 13),
        (ApiKey::ListOffsets, 1, 10),
        (ApiKey::OffsetForLeaderEpoch, 2, 4),
        (ApiKey::CreateTopics, 2, 7),
        (ApiKey::CreatePartitions, 0, 3),
        (ApiKey::DescribeConfigs, 1, 4),
        (ApiKey::AlterConfigs, 0, 2),
        (ApiKey::IncrementalAlterConfigs, 0, 1),
        (ApiKey::DescribeCluster, 0, 2),
        (ApiKey::DescribeProducers, 0, 0),
        (ApiKey::InitProducerId, 0, 5),
        (ApiKey::Fetch, 4, 17),
        (ApiKey::Produce, 3, 13),
        (ApiKey::ListGroups, 0, 5),
        (ApiKey::DescribeGroups, 0, 6),
        (ApiKey::FindCoordinator, 0, 6),
        (ApiKey::OffsetFetch, 1, 10),
        (ApiKey::OffsetCommit, 2, 10),
    ];
    let ranges = known.iter().map(|range| special.iter().find(|(api, ..)| *api == range.0).unwrap_or(range));
    let ranges = ranges.filter(|(_, min, max)| min <= max).map(|(api, min, max)| {
        ApiVersion::default().with_api_key(*api as i16).with_min_version(*min).with_max_version(*max)
    });
    ApiVersionsResponse::default().with_api_keys(ranges.collect())
}

/// A broker whose answers are a function in the test.
pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Observed>>,
}

#[derive(Default)]
struct Observed {
    requests: Vec<ApiKey>,
    connections: usize,
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

impl Scripted {
    /// Starts it on a free port.
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, script).await
    }

    /// Starts it behind TLS.
    pub(crate) async fn start_tls(
        config: ServerConfig,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a local port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let seen = Arc::new(Mutex::new(Observed::default()));
        let (script, log): (Script, _) = (Arc::new(script), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                log.lock().connections += 1;
                let (tls, script, log) = (tls.clone(), script.clone(), log.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return serve(stream, address, script, log).await };
                    // A handshake that fails is the client's to tell.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, address, script, log).await;
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Wire {
        self.client_with(|_| {})
    }

    /// A client of it, with other settings.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut ClientSettings)) -> Wire {
        let mut settings = settings(&self.address());
        change(&mut settings);
        Wire::new("east".into(), &settings).expect("the settings are sound")
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many requests of this kind came.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        self.seen.lock().requests.iter().filter(|seen| **seen == api).count()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().connections
    }

    /// Waits until this many requests of a kind came.
    pub(crate) async fn saw(&self, api: ApiKey, count: usize) {
        let seen = async {
            while self.count(api) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ceiling = Duration::from_secs(60);
        tokio::time::timeout(ceiling, seen)
            .await
            .unwrap_or_else(|_| panic!("no {count} requests of {api:?}"));
    }
}

async fn serve(mut stream: impl Stream, broker: SocketAddr, script: Script, seen: Arc<Mutex<Observed>>) {
    let mut held = Vec::new();
    let mut frames = FrameReader::new(Arc::default());
    while let Ok(mut body) = frames.read(&mut stream, || {}).await {
        let header: RequestHeader =
            decode_request_header_from_buffer(&mut body).expect("a sound request header");
        let api = ApiKey::try_from(header.request_api_key).expect("a known call");
        let nth = {
            let mut seen = seen.lock();
            let nth = seen.requests.iter().filter(|earlier| **earlier == api).count();
            seen.requests.push(api);
            nth
        };
        let (version, correlation) = (header.request_api_version, header.correlation_id);
        let reply = script(&Request { api, version, nth, correlation, body, broker });
        let bytes = match reply {
            Reply::Silence => continue,
            Reply::Close => return,
            Reply::AfterNext(bytes) => {
                held.push(bytes);
                continue;
            }
            Reply::Bytes(bytes) => bytes,
        };
        held.push(bytes);
        if stream.write_all(&held.concat()).await.is_err() {
            return;
        }
        held.clear();
    }
}
