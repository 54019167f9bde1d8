//! For the tests of this room: settings, and a broker whose answers are a function in the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::client::Wire;
use crate::config::client::ClientSettings;
use crate::fake::{self, FakeCluster};
use crate::model::{TopicName, TopicPartition};

pub(crate) use crate::fake::Reply;

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
pub(crate) struct Request(fake::Request);

impl Deref for Request {
    type Target = fake::Request;

    fn deref(&self) -> &fake::Request {
        &self.0
    }
}

impl Request {
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
            .with_host(StrBytes::from_string(self.address.ip().to_string()))
            .with_port(self.address.port().into());
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
        let host = StrBytes::from_string(self.address.ip().to_string());
        if self.version < 4 {
            let answer = FindCoordinatorResponse::default().with_node_id(1.into());
            return answer.with_host(host).with_port(self.address.port().into());
        }
        let found = asked.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(1.into())
                .with_host(host.clone())
                .with_port(self.address.port().into())
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

/// A broker whose answers are a function in the test: a fake one, all of whose requests are intercepted.
pub(crate) struct Scripted {
    cluster: FakeCluster,
}

impl Scripted {
    /// Starts it on a free port.
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(FakeCluster::start().await, script)
    }

    /// Starts it behind TLS.
    pub(crate) async fn start_tls(
        config: ServerConfig,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let tls = TlsAcceptor::from(Arc::new(config));
        let wrap = move |stream| -> fake::Wrapped {
            let handshake = tls.accept(stream);
            // A handshake that fails is the client's to tell.
            Box::pin(async move { Some(Box::new(handshake.await.ok()?) as Box<dyn fake::Stream>) })
        };
        Self::with(FakeCluster::builder().wrap(wrap).start().await, script)
    }

    fn with(cluster: FakeCluster, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        cluster.intercept_all(move |request| Some(script(&Request(request.clone()))));
        Self { cluster }
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
        self.cluster.bootstrap()
    }

    /// How many requests of this kind came.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        self.cluster.count(api)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.cluster.connections()
    }

    /// Waits until this many requests of a kind came.
    pub(crate) async fn saw(&self, api: ApiKey, count: usize) {
        self.cluster.await_count(api, count).await;
    }
}
