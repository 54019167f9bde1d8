//! What a node will be: its listeners and ports, and the configuration that follows from them.

use std::fmt::Write;
use std::path::Path;

use super::home::Release;
use super::ports::Port;
use super::proxy::Proxy;

/// A way into a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Plaintext, direct; always there, for the brokers among themselves and the harness.
    Internal,
    /// Plaintext through a [`Proxy`].
    Link,
    /// TLS with a client certificate.
    Tls,
    /// SASL over plaintext.
    Sasl,
    /// SASL over TLS, no client certificate.
    SaslTls,
}

impl Listener {
    fn name(self) -> &'static str {
        match self {
            Self::Internal => "INTERNAL",
            Self::Link => "LINK",
            Self::Tls => "TLS",
            Self::Sasl => "SASL",
            Self::SaslTls => "SASLTLS",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Internal | Self::Link => "PLAINTEXT",
            Self::Tls => "SSL",
            Self::Sasl => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }

    /// Where TLS is spoken the host goes by its name, as certificates do.
    fn host(self) -> &'static str {
        match self {
            Self::Tls | Self::SaslTls => "localhost",
            _ => "127.0.0.1",
        }
    }
}

/// Identity and ports of a node, fixed before any node's configuration can be written.
#[derive(Debug)]
pub struct Plan {
    /// `node.id`.
    pub node_id: u16,
    /// The Kafka it runs.
    pub release: Release,
    controller: Port,
    listeners: Vec<(Listener, Port)>,
    proxy: Option<Proxy>,
}

impl Plan {
    /// Reserves the ports of a node and starts the proxy in front of it, if [`Listener::Link`] is wanted.
    pub fn new(node_id: u16, release: Release, listeners: &[Listener]) -> Self {
        let listeners: Vec<(Listener, Port)> =
            listeners.iter().map(|listener| (*listener, Port::reserve())).collect();
        let linked = listeners.iter().find(|(listener, _)| *listener == Listener::Link);
        let proxy = linked.map(|(_, port)| Proxy::start(&format!("127.0.0.1:{}", port.number())));
        Self { node_id, release, controller: Port::reserve(), listeners, proxy }
    }

    /// The node as `controller.quorum.voters` names it.
    pub fn voter(&self) -> String {
        format!("{}@127.0.0.1:{}", self.node_id, self.controller.number())
    }

    /// The address that a listener advertises.
    pub fn address(&self, listener: Listener) -> Option<String> {
        let (_, port) = self.listeners.iter().find(|(found, _)| *found == listener)?;
        Some(match (&self.proxy, listener) {
            (Some(proxy), Listener::Link) => proxy.address(),
            _ => format!("{}:{}", listener.host(), port.number()),
        })
    }

    /// The proxy in front of [`Listener::Link`].
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The text of `server.properties`; of a key given twice, the later value holds.
    pub fn properties(&self, data: &Path, voters: &str, brokers: u16, extra: &[(String, String)]) -> String {
        let mut text = String::new();
        let own = self.own_properties(data, voters, brokers);
        let own = own.iter().map(|(key, value)| (*key, value));
        for (key, value) in own.chain(extra.iter().map(|(key, value)| (key.as_str(), value))) {
            writeln!(text, "{key}={value}").expect("a string can be written to");
        }
        text
    }

    fn own_properties(&self, data: &Path, voters: &str, brokers: u16) -> Vec<(&'static str, String)> {
        let controller = self.controller.number();
        let mut bound = vec![format!("CONTROLLER://127.0.0.1:{controller}")];
        let mut advertised = Vec::new();
        let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned()];
        for (listener, port) in &self.listeners {
            let name = listener.name();
            bound.push(format!("{name}://127.0.0.1:{}", port.number()));
            let address = self.address(*listener).expect("the listener is one of ours");
            advertised.push(format!("{name}://{address}"));
            protocols.push(format!("{name}:{}", listener.protocol()));
        }
        // More replicas than brokers can't be; three brokers replicate the internal topics.
        let replicas = brokers.min(3).to_string();
        vec![
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", self.node_id.to_string()),
            ("controller.quorum.voters", voters.to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("inter.broker.listener.name", "INTERNAL".to_owned()),
            ("listeners", bound.join(",")),
            ("advertised.listeners", advertised.join(",")),
            ("listener.security.protocol.map", protocols.join(",")),
            ("log.dirs", data.display().to_string()),
            ("auto.create.topics.enable", "false".to_owned()),
            ("offsets.topic.num.partitions", "2".to_owned()),
            ("offsets.topic.replication.factor", replicas.clone()),
            ("transaction.state.log.num.partitions", "2".to_owned()),
            ("transaction.state.log.replication.factor", replicas.clone()),
            ("transaction.state.log.min.isr", "1".to_owned()),
            ("share.coordinator.state.topic.replication.factor", replicas),
            ("share.coordinator.state.topic.min.isr", "1".to_owned()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            // Tests write old timestamps; those that are about retention set it on their topic.
            ("log.retention.ms", "-1".to_owned()),
            ("log.initial.task.delay.ms", "500".to_owned()),
            ("log.retention.check.interval.ms", "500".to_owned()),
            ("log.segment.delete.delay.ms", "200".to_owned()),
            ("log.cleaner.backoff.ms", "200".to_owned()),
            // The default takes 128 MiB of heap for the cleaner's map.
            ("log.cleaner.dedupe.buffer.size", (4 << 20).to_string()),
            ("broker.heartbeat.interval.ms", "250".to_owned()),
            // A killed broker is let in again once its old session is over.
            ("broker.session.timeout.ms", "2500".to_owned()),
        ]
    }
}
