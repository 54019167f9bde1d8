//! Real Kafka clusters (KRaft, combined nodes), started for a test.

use std::path::Path;

use super::archive::class_archive;
use super::broker::Broker;
use super::dirs::fresh_dir;
use super::home::{Release, java};
use super::plan::{Listener, Plan};
use super::proxy::Proxy;
use super::security::{self, Certificates, User};
use super::{KafkaClient, blocking, random_cluster_id, wait_for};

/// Says what a cluster should be like; [`Cluster::builder`] makes one.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    name: String,
    release: Release,
    flags: Vec<String>,
    brokers: u16,
    properties: Vec<(String, String)>,
    racks: Vec<String>,
    proxied: bool,
    tls: bool,
    users: Vec<User>,
    authorizer: bool,
}

impl ClusterBuilder {
    /// One plaintext broker without automatic topic creation.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            release: Release::default(),
            flags: Vec::new(),
            brokers: 1,
            properties: Vec::new(),
            racks: Vec::new(),
            proxied: false,
            tls: false,
            users: Vec::new(),
            authorizer: false,
        }
    }

    /// Which Kafka the brokers run; 4.3 unless told otherwise.
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// Adds flags of the brokers' JVM; they win over the harness's own, which keep heap and compiler small.
    pub fn jvm(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// How many brokers: 1 or 3.
    pub fn brokers(mut self, count: u16) -> Self {
        self.brokers = count;
        self
    }

    /// Sets a broker property; wins over the harness's own.
    pub fn property(mut self, key: &str, value: impl ToString) -> Self {
        self.properties.push((key.to_owned(), value.to_string()));
        self
    }

    /// Puts the brokers into racks, one each, and lets followers serve clients in theirs (KIP-392).
    pub fn racks(mut self, racks: &[&str]) -> Self {
        self.racks = racks.iter().map(|rack| (*rack).to_owned()).collect();
        let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
        self.property("replica.selector.class", selector)
    }

    /// Adds [`Listener::Link`]: a [`Proxy`] in front of every broker.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Adds [`Listener::Tls`], and [`Listener::SaslTls`] if there are users.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Adds [`Listener::Sasl`] and a user of it: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push(User { name: name.to_owned(), password: password.to_owned() });
        self
    }

    /// Turns ACLs on: `admin` and plaintext listeners may do everything, others what [`Cluster::acls`] grants.
    pub fn authorizer(mut self) -> Self {
        self.authorizer = true;
        self
    }

    /// Starts the cluster and waits until every broker answers.
    pub async fn start(self) -> Cluster {
        blocking(move || self.start_blocking()).await
    }

    /// [`Self::start`] for callers outside a runtime.
    pub fn start_blocking(self) -> Cluster {
        // First, and here: a panic on the threads below would not tell what to install.
        class_archive(self.release);
        let id = random_cluster_id();
        let dir = fresh_dir(&self.name);
        let certificates = self.tls.then(|| Certificates::create(dir.clone()));
        let extra = self.extra_properties(certificates.as_ref());
        let listeners = self.listeners();
        let plans: Vec<Plan> =
            (1..=self.brokers).map(|node| Plan::new(node, self.release, &listeners)).collect();
        let voters: Vec<String> = plans.iter().map(Plan::voter).collect();
        let voters = voters.join(",");
        let broker = |mut plan: Plan| {
            plan.flags.clone_from(&self.flags);
            let dir = dir.join(plan.node_id.to_string());
            let mut extra = extra.clone();
            let rack = self.racks.get(usize::from(plan.node_id) - 1);
            extra.extend(rack.map(|rack| ("broker.rack".to_owned(), rack.clone())));
            Broker::new(&self.name, plan, dir, &voters, self.brokers, &extra)
        };
        let brokers: Vec<Broker> = plans.into_iter().map(broker).collect();
        let scram = security::scram_arguments(&self.users);
        std::thread::scope(|scope| {
            for broker in &brokers {
                scope.spawn(|| broker.format(&id, &scram));
            }
        });
        let bootstrap: Vec<String> = brokers.iter().map(Broker::address).collect();
        let client = KafkaClient::new(&bootstrap.join(","));
        start_all(&brokers);
        Cluster { name: self.name, id, client, brokers, certificates, users: self.users }
    }

    fn listeners(&self) -> Vec<Listener> {
        let sasl = !self.users.is_empty();
        let wanted = [
            (Listener::Internal, true),
            (Listener::Link, self.proxied),
            (Listener::Tls, self.tls),
            (Listener::Sasl, sasl),
            (Listener::SaslTls, sasl && self.tls),
        ];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(listener, _)| listener).collect()
    }

    fn extra_properties(&self, certificates: Option<&Certificates>) -> Vec<(String, String)> {
        let mut extra = certificates.map(Certificates::broker_properties).unwrap_or_default();
        if !self.users.is_empty() {
            extra.extend(security::sasl_properties("sasl", &self.users));
            extra.extend(security::sasl_properties("sasltls", &self.users));
        }
        if self.authorizer {
            extra.extend(security::authorizer_properties());
        }
        extra.extend(self.properties.iter().cloned());
        extra
    }
}

/// A running cluster; its brokers are killed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    id: String,
    client: KafkaClient,
    brokers: Vec<Broker>,
    certificates: Option<Certificates>,
    users: Vec<User>,
}

impl Cluster {
    /// Begins the description of a cluster: one plaintext broker unless told otherwise.
    pub fn builder(name: &str) -> ClusterBuilder {
        ClusterBuilder::new(name)
    }

    /// The name given to the builder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id it was formatted with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bootstrap servers of the plaintext listener, reached directly.
    pub fn bootstrap(&self) -> &str {
        self.client.bootstrap()
    }

    /// Bootstrap servers of another listener.
    pub fn bootstrap_at(&self, listener: Listener) -> String {
        let addresses: Vec<String> = self.brokers.iter().map(|broker| broker.address_at(listener)).collect();
        addresses.join(",")
    }

    /// PEM files of a cluster with TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().unwrap_or_else(|| panic!("{}: the builder was not told `tls`", self.name))
    }

    /// A client that logs in: `mechanism` is `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub fn sasl_client(&self, listener: Listener, mechanism: &str, user: &str) -> KafkaClient {
        let found = self.users.iter().find(|known| known.name == user);
        let user = found.unwrap_or_else(|| panic!("{}: there is no user {user}", self.name));
        let ca = (listener == Listener::SaslTls).then(|| self.certificates().ca());
        let settings = security::sasl_client(mechanism, user, ca.as_deref());
        let client = KafkaClient::new(&self.bootstrap_at(listener));
        settings.iter().fold(client, |client, (key, value)| client.with(key, value))
    }

    /// A client with the cluster's client certificate.
    pub fn tls_client(&self) -> KafkaClient {
        let files = self.certificates();
        KafkaClient::new(&self.bootstrap_at(Listener::Tls))
            .with("security.protocol", "SSL")
            .with("ssl.ca.location", &files.ca().display().to_string())
            .with("ssl.certificate.location", &files.client_certificate().display().to_string())
            .with("ssl.key.location", &files.client_key().display().to_string())
    }

    /// Runs `kafka-acls` with these arguments, e.g. `--add --allow-principal User:alice --operation Read --topic t`.
    pub async fn acls(&self, arguments: &[&str]) -> String {
        let bootstrap = ["--bootstrap-server", self.bootstrap()];
        java("org.apache.kafka.tools.AclCommand", &[&bootstrap, arguments].concat()).await
    }

    /// Sets what a client id may read and write, in bytes a second and by broker, with Kafka's own tool.
    pub async fn limit_client(&self, client_id: &str, bytes_per_second: u32) {
        let rates = format!("consumer_byte_rate={bytes_per_second},producer_byte_rate={bytes_per_second}");
        let mut arguments = vec!["--bootstrap-server", self.bootstrap(), "--alter", "--add-config", &rates];
        arguments.extend(["--entity-type", "clients", "--entity-name", client_id]);
        java("kafka.admin.ConfigCommand", &arguments).await;
    }

    /// Does something to the proxy in front of every broker, e.g. `cluster.link(Proxy::cut)`.
    pub fn link(&self, change: impl Fn(&Proxy)) {
        self.brokers.iter().for_each(|broker| change(broker.proxy()));
    }

    /// A client on the plaintext listener, with every right.
    pub fn client(&self) -> &KafkaClient {
        &self.client
    }

    /// Waits until every broker, each a replica, has noted that all of a topic is replicated. They note it every five
    /// seconds, or as `replica.high.watermark.checkpoint.interval.ms` says.
    ///
    /// For tests in which a coordinator moves: after a broker's death one of Kafka 4.3.0 was seen to refuse its groups
    /// for good, which is not what they are about.
    pub async fn in_step(&self, topic: &str) {
        wait_for(&format!("{}: all replicas of {topic} to be in step", self.name), async || {
            for (partition, end) in self.client.end_offsets(topic).await.into_iter().enumerate() {
                let noted = format!("{topic} {partition} {end}");
                for broker in &self.brokers {
                    let file = broker.data_dir().join("replication-offset-checkpoint");
                    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
                    if !text.lines().any(|line| line == noted) {
                        return Err(format!("broker {} has no {noted} in {text}", broker.node_id()));
                    }
                }
            }
            Ok(())
        })
        .await;
    }

    /// Its brokers, node ids from 1.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The broker of a cluster that has one, or the first.
    pub fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    /// SIGTERM to every broker; returns when all are gone.
    pub async fn stop(&self) {
        let brokers = self.brokers.clone();
        blocking(move || {
            std::thread::scope(|scope| {
                for broker in &brokers {
                    scope.spawn(|| broker.stop_blocking());
                }
            });
        })
        .await;
    }

    /// SIGKILL to every broker.
    pub fn kill(&self) {
        self.brokers.iter().for_each(Broker::kill);
    }

    /// Starts every broker that is down, on its old port and data; returns when all answer.
    pub async fn start(&self) {
        let brokers = self.brokers.clone();
        blocking(move || start_all(&brokers)).await;
    }

    /// Stalls every broker (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.brokers.iter().for_each(Broker::pause);
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.brokers.iter().for_each(Broker::resume);
    }

    /// The data folder of the first broker: holds `<topic>-<partition>/` folders. Touch it only while the broker is down.
    pub fn data_dir(&self) -> &Path {
        self.broker().data_dir()
    }
}

fn start_all(brokers: &[Broker]) {
    for broker in brokers {
        broker.launch();
    }
    for broker in brokers {
        broker.wait_ready(brokers.len());
    }
}
