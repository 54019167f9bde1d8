//! The cluster: started, stopped, filled and looked at.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use mirrormesh::batch::{BatchBuilder, RawBatch, Record};
use mirrormesh::model::Codec;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::api::OFFERED;
use super::connection::serve;
use super::controls::{Held, Interceptor};
use super::groups::{Commit, Group};
use super::log;
use super::rights::Denied;
use super::sessions::Sessions;
use super::state::{Broker, State, now_ms};

/// Longest wait for a condition.
const CEILING: Duration = Duration::from_secs(60);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// What a connection runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is being wrapped, in TLS say; `None` when that fails.
pub(crate) type Wrapped = Pin<Box<dyn Future<Output = Option<Box<dyn Stream>>> + Send>>;

type Wrap = Arc<dyn Fn(TcpStream) -> Wrapped + Send + Sync>;

/// What brokers and the test share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) interceptors: Mutex<Vec<Interceptor>>,
    pub(super) held: Mutex<Vec<Held>>,
    /// Requests and connections so far, with the brokers that got them.
    pub(super) requests: Mutex<Vec<(i32, ApiKey)>>,
    pub(super) connections: Mutex<Vec<i32>>,
    /// How long answers take on their way.
    pub(super) latency: Mutex<Duration>,
    pub(super) offered: Vec<(ApiKey, i16, i16)>,
    /// User and password, where SASL/PLAIN is asked for.
    pub(super) login: Option<(String, String)>,
    wrap: Option<Wrap>,
    /// The state has changed.
    pub(super) changed: watch::Sender<()>,
    /// The state has changed, or there was a request.
    pub(super) active: watch::Sender<()>,
}

/// A cluster. It ends when it is dropped.
pub(crate) struct FakeCluster {
    pub(super) shared: Arc<Shared>,
    tasks: Mutex<HashMap<i32, JoinHandle<()>>>,
    /// Keep the ports of brokers that are down.
    _ports: Vec<TcpSocket>,
}

/// A cluster to be started.
pub(crate) struct Builder {
    racks: Vec<Option<String>>,
    auto_create: bool,
    offered: Vec<(ApiKey, i16, i16)>,
    login: Option<(String, String)>,
    wrap: Option<Wrap>,
}

impl Builder {
    /// How many brokers; their ids begin at 1.
    pub(crate) fn brokers(mut self, count: usize) -> Self {
        self.racks.resize(count, None);
        self
    }

    /// Where the brokers stand, and so how many they are.
    pub(crate) fn racks(mut self, racks: &[&str]) -> Self {
        self.racks = racks.iter().map(|rack| Some((*rack).to_owned())).collect();
        self
    }

    /// Creates topics that producers ask for.
    pub(crate) fn auto_create(mut self) -> Self {
        self.auto_create = true;
        self
    }

    /// Offers other versions of a call, as an older broker does; none if the range is empty.
    pub(crate) fn offers(mut self, api: ApiKey, min: i16, max: i16) -> Self {
        self.offered.retain(|(known, ..)| *known != api);
        if min <= max {
            self.offered.push((api, min, max));
        }
        self
    }

    /// Asks for SASL/PLAIN.
    pub(crate) fn sasl_plain(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Wraps connections, in TLS say.
    pub(crate) fn wrap(mut self, wrap: impl Fn(TcpStream) -> Wrapped + Send + Sync + 'static) -> Self {
        self.wrap = Some(Arc::new(wrap));
        self
    }

    /// Starts it.
    pub(crate) async fn start(self) -> FakeCluster {
        let (mut ports, mut brokers) = (Vec::new(), Vec::new());
        for (id, rack) in (1..).zip(self.racks) {
            let (port, address) = reserve();
            ports.push(port);
            brokers.push(Broker { id, address, rack, is_up: false, sessions: Sessions::default() });
        }
        let ids: Vec<i32> = brokers.iter().map(|broker| broker.id).collect();
        let state = State {
            cluster_id: Uuid::new_v4().simple().to_string(),
            brokers,
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            denied: Denied::default(),
            faults: Vec::new(),
            throttles: BTreeMap::new(),
            serves_racks: false,
            auto_create: self.auto_create,
            partitions_unless_said: 1,
            producers_made: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            interceptors: Mutex::default(),
            held: Mutex::default(),
            requests: Mutex::default(),
            connections: Mutex::default(),
            latency: Mutex::default(),
            offered: self.offered,
            login: self.login,
            wrap: self.wrap,
            changed: watch::Sender::new(()),
            active: watch::Sender::new(()),
        };
        let tasks = Mutex::default();
        let cluster = FakeCluster { shared: Arc::new(shared), tasks, _ports: ports };
        for id in ids {
            cluster.start_broker(id).await;
        }
        cluster
    }
}

impl Shared {
    /// Changes the state, and tells those who wait for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.send_replace(());
        self.active.send_replace(());
        result
    }
}

impl FakeCluster {
    /// A cluster of one broker.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A cluster to be started: of one broker unless told otherwise.
    pub(crate) fn builder() -> Builder {
        let (racks, offered) = (vec![None], OFFERED.to_vec());
        Builder { racks, auto_create: false, offered, login: None, wrap: None }
    }

    /// Changes the state.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change(change)
    }

    /// `host:port` of all brokers.
    pub(crate) fn bootstrap(&self) -> String {
        let addresses = self
            .shared
            .state
            .lock()
            .brokers
            .iter()
            .map(|broker| broker.address.to_string())
            .collect::<Vec<_>>();
        addresses.join(",")
    }

    /// `host:port` of one broker.
    pub(crate) fn address(&self, broker: i32) -> SocketAddr {
        self.shared.state.lock().broker(broker).address
    }

    /// The cluster's id.
    pub(crate) fn id(&self) -> String {
        self.shared.state.lock().cluster_id.clone()
    }

    /// Starts a broker at its old address. It leads what has no leader.
    #[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
    pub(crate) async fn start_broker(&self, id: i32) {
        let address = self.address(id);
        let listener = listen(address);
        let task = tokio::spawn(accept(self.shared.clone(), id, address, listener));
        let before = self.tasks.lock().insert(id, task);
        assert!(before.is_none_or(|before| before.is_finished()), "broker {id} is up");
        self.change(|state| {
            state.broker(id).is_up = true;
            for partition in state.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
                if partition.leader.is_none() && partition.replicas.contains(&id) {
                    partition.elect(Some(id));
                }
            }
        });
    }

    /// Stops a broker, and all its connections. Another one with a replica leads what it led.
    pub(crate) async fn stop_broker(&self, id: i32) {
        let task = self.tasks.lock().remove(&id).expect("the broker is up");
        task.abort();
        // It ends as aborted.
        let _ = task.await;
        self.change(|state| {
            let broker = state.broker(id);
            broker.is_up = false;
            broker.sessions.evict();
            let up: Vec<i32> = state.up().map(|broker| broker.id).collect();
            for partition in state.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
                if partition.leader == Some(id) {
                    partition.elect(partition.replicas.iter().find(|replica| up.contains(replica)).copied());
                }
            }
        });
    }

    /// Creates a topic with a replica on every broker.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.change(|state| {
            assert!(!state.topics.contains_key(name), "{name} exists");
            let replicas = state.brokers.len();
            state.add_topic(name, partitions, replicas, configs);
        });
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, name: &str) {
        self.change(|state| state.remove_topic(name)).expect("the topic exists");
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow_topic(&self, name: &str, total: i32) {
        self.change(|state| {
            let mut topic = state.topics.remove(name).expect("the topic exists");
            let replicas = topic.partitions[0].replicas.len();
            state.grow(&mut topic, total, replicas);
            state.topics.insert(name.to_owned(), topic);
        });
    }

    /// The names of all topics, and how many partitions they have.
    pub(crate) fn topics(&self) -> BTreeMap<String, usize> {
        let state = self.shared.state.lock();
        state.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions.len())).collect()
    }

    /// A topic's id.
    pub(crate) fn topic_id(&self, name: &str) -> Uuid {
        self.shared.state.lock().topic(name).expect("the topic exists").id
    }

    /// A topic's own configuration.
    pub(crate) fn topic_configs(&self, name: &str) -> BTreeMap<String, String> {
        self.shared.state.lock().topic(name).expect("the topic exists").configs.clone()
    }

    /// Changes a key of a topic's own configuration, or removes it.
    pub(crate) fn configure_topic(&self, name: &str, key: &str, value: Option<&str>) {
        self.change(|state| {
            let topic = state.topics.get_mut(name).expect("the topic exists");
            match value {
                Some(value) => _ = topic.configs.insert(key.to_owned(), value.to_owned()),
                None => _ = topic.configs.remove(key),
            }
        });
    }

    /// Who leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.change(|state| state.partition(topic, partition).expect("the partition exists").leader)
    }

    /// Under which epoch a partition is led.
    pub(crate) fn epoch(&self, topic: &str, partition: i32) -> i32 {
        self.change(|state| state.partition(topic, partition).expect("the partition exists").epoch)
    }

    /// Appends records of now, keys and values, as one batch; tells the offset of the first.
    pub(crate) fn produce(&self, topic: &str, partition: i32, records: &[(&str, &str)]) -> i64 {
        let mut batch = BatchBuilder::new(Codec::None);
        for (key, value) in records {
            batch.push(now_ms(), Some(key.as_bytes()), Some(value.as_bytes()), &[]);
        }
        self.append(topic, partition, batch)
    }

    /// Appends a batch as it is, checked by nobody; tells the offset of its first record.
    pub(crate) fn append(&self, topic: &str, partition: i32, batch: BatchBuilder) -> i64 {
        self.append_all(vec![(topic, partition, batch)])[0]
    }

    /// Appends batches to several partitions at once: no fetch comes in between.
    pub(crate) fn append_all(&self, batches: Vec<(&str, i32, BatchBuilder)>) -> Vec<i64> {
        self.change(|state| {
            let append = |(topic, partition, batch): (&str, i32, BatchBuilder)| {
                let batch = batch.build().expect("the batch can be built");
                let batch = RawBatch::parse(batch).expect("it was just made");
                let partition = state.partition(topic, partition).expect("the partition exists");
                partition.append(&batch, None).base_offset
            };
            batches.into_iter().map(append).collect()
        })
    }

    /// Ends the transaction of a producer in a partition with a marker; tells the marker's offset.
    pub(crate) fn end_transaction(
        &self,
        topic: &str,
        partition: i32,
        producer: (i64, i16),
        commit: bool,
    ) -> i64 {
        let marker = log::marker(producer, commit, now_ms());
        self.change(|state| {
            let partition = state.partition(topic, partition).expect("the partition exists");
            partition.append(&marker, None).base_offset
        })
    }

    /// All records of a partition, markers left out.
    pub(crate) fn records(&self, topic: &str, partition: i32) -> Vec<Record> {
        let batches = self.batches(topic, partition);
        let data = batches.iter().filter(|batch| !batch.header().is_control());
        data.flat_map(log::records).collect()
    }

    /// The values of all records of a partition, as text.
    pub(crate) fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let text =
            |value: Option<Bytes>| String::from_utf8(value.unwrap_or_default().into()).expect("it is text");
        self.records(topic, partition).into_iter().map(|record| text(record.value)).collect()
    }

    /// All batches of a partition, as they are stored.
    pub(crate) fn batches(&self, topic: &str, partition: i32) -> Vec<RawBatch> {
        let mut state = self.shared.state.lock();
        state.partition(topic, partition).expect("the partition exists").log.batches().to_vec()
    }

    /// Where a log starts, and where it ends.
    pub(crate) fn offsets(&self, topic: &str, partition: i32) -> (i64, i64) {
        let mut state = self.shared.state.lock();
        let log = &state.partition(topic, partition).expect("the partition exists").log;
        (log.start(), log.end())
    }

    /// Commits an offset for a group.
    pub(crate) fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        self.change(|state| {
            let group: &mut Group = state.groups.entry(group.to_owned()).or_default();
            let commit = Commit { offset, leader_epoch: -1, metadata: String::new(), unstable: false };
            group.commits.insert((topic.to_owned(), partition), commit);
        });
    }

    /// What a group has committed for a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.shared.state.lock();
        let commits = &state.groups.get(group)?.commits;
        commits.get(&(topic.to_owned(), partition)).map(|commit| commit.offset)
    }

    /// How many requests of a call came, to all brokers.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        self.shared.requests.lock().iter().filter(|(_, seen)| *seen == api).count()
    }

    /// How many requests of a call came to a broker.
    pub(crate) fn count_at(&self, broker: i32, api: ApiKey) -> usize {
        self.shared.requests.lock().iter().filter(|seen| **seen == (broker, api)).count()
    }

    /// How many connections were made, to all brokers.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.lock().len()
    }

    /// How many connections were made to a broker.
    pub(crate) fn connections_at(&self, broker: i32) -> usize {
        self.shared.connections.lock().iter().filter(|seen| **seen == broker).count()
    }

    /// Waits until so many requests of a call came.
    pub(crate) async fn await_count(&self, api: ApiKey, count: usize) {
        self.until(&format!("{count} requests of {api:?}"), |cluster| cluster.count(api) >= count).await;
    }

    /// Waits until something is so; it is looked at whenever a request came or something has changed here.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let mut active = self.shared.active.subscribe();
        let wait = async {
            while !done(self) {
                active.changed().await.expect("the cluster is there");
            }
        };
        tokio::time::timeout(CEILING, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.tasks.lock().values().for_each(JoinHandle::abort);
    }
}

impl std::fmt::Debug for FakeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeCluster").field("bootstrap", &self.bootstrap()).finish_non_exhaustive()
    }
}

/// A port that nobody else gets while the socket is there.
fn reserve() -> (TcpSocket, SocketAddr) {
    let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

fn listen(address: SocketAddr) -> TcpListener {
    bound(address).listen(BACKLOG).expect("the port is ours")
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("addresses can be shared");
    socket.bind(address).expect("the port is ours, or there is a free one");
    socket
}

/// Serves a broker's connections; they end with it.
async fn accept(shared: Arc<Shared>, broker: i32, address: SocketAddr, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // One that was closed before it was accepted.
        let Ok((stream, _)) = accepted else { continue };
        shared.connections.lock().push(broker);
        shared.active.send_replace(());
        let shared = shared.clone();
        connections.spawn(async move {
            // Answers are small and awaited.
            let _ = stream.set_nodelay(true);
            let stream: Box<dyn Stream> = match &shared.wrap {
                None => Box::new(stream),
                Some(wrap) => match wrap(stream).await {
                    Some(stream) => stream,
                    // What went wrong is the client's to tell.
                    None => return,
                },
            };
            serve(&shared, broker, address, stream).await;
        });
    }
}
