//! The cluster: started and stopped, and what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::api::OFFERED;
use super::connection::serve;
use super::controls::{Held, Interceptor};
use super::rights::Denied;
use super::sessions::Sessions;
use super::state::{Broker, State};

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
    pub(crate) async fn start_broker(&self, id: i32) {
        let address = self.address(id);
        let listener = listen(address);
        #[expect(
            clippy::disallowed_methods,
            reason = "the cluster keeps the handle, and ends it when it is dropped"
        )]
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
