//! A TCP proxy that can be a bad link: slow, narrow, stalled or cut.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::{Requests, Traffic};
use super::ports::Port;

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks under way in one direction: 16 MiB, so that latency alone doesn't make a link narrow.
const CHUNKS_IN_FLIGHT: usize = 256;

/// A running proxy, on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    weather: watch::Sender<Weather>,
    commands: mpsc::UnboundedSender<(Command, blocking::Sender<()>)>,
    traffic: Arc<Traffic>,
}

/// What the link is like now.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    latency: Duration,
    stalled: bool,
    bytes_per_second: Option<u32>,
}

#[derive(Debug)]
enum Command {
    Cut,
    Restore,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and connects through to `upstream` (`host:port`).
    pub fn start(upstream: &str) -> Self {
        Self::listen(Port::reserve(), upstream)
    }

    /// [`Self::start`] on a port that was reserved before.
    pub fn listen(port: Port, upstream: &str) -> Self {
        let (weather, seen) = watch::channel(Weather::default());
        let (commands, orders) = mpsc::unbounded_channel();
        let (number, upstream) = (port.number(), upstream.to_owned());
        let traffic = Arc::new(Traffic::default());
        let passing = traffic.clone();
        thread::Builder::new()
            .name(format!("proxy-{number}"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime
                    .expect("a runtime can be built")
                    .block_on(serve(number, upstream, seen, orders, passing));
            })
            .expect("a thread can be started");
        let proxy = Self { port, weather, commands, traffic };
        proxy.restore();
        proxy
    }

    /// `host:port` at which it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Drops every connection and refuses new ones; when it returns, that is so.
    pub fn cut(&self) {
        self.command(Command::Cut);
    }

    /// Accepts connections again after [`Self::cut`].
    pub fn restore(&self) {
        self.command(Command::Restore);
    }

    /// Accepts connections and reads, but passes nothing on, until [`Self::flow`].
    pub fn stall(&self) {
        self.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Ends [`Self::stall`]: what was held back is passed on.
    pub fn flow(&self) {
        self.weather.send_modify(|weather| weather.stalled = false);
    }

    /// Delays every byte by this much, each way; zero for none.
    pub fn set_latency(&self, latency: Duration) {
        self.weather.send_modify(|weather| weather.latency = latency);
    }

    /// Limits each direction of each connection to so many bytes a second; `None` for no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u32>) {
        self.weather.send_modify(|weather| weather.bytes_per_second = bytes_per_second);
    }

    /// Kafka requests that came this way so far, by the number of their API; connections must be without TLS.
    pub fn requests(&self) -> BTreeMap<i16, u64> {
        self.traffic.requests()
    }

    /// Closes every connection over which librdkafka's clients ask for something, old and new, until
    /// [`Self::admit_rdkafka`]; other clients are served. Connections must be without TLS.
    pub fn turn_rdkafka_away(&self) {
        self.traffic.turn_rdkafka_away(true);
    }

    /// Ends [`Self::turn_rdkafka_away`].
    pub fn admit_rdkafka(&self) {
        self.traffic.turn_rdkafka_away(false);
    }

    /// Connections closed by [`Self::turn_rdkafka_away`] so far.
    pub fn turned_away(&self) -> u64 {
        self.traffic.turned_away()
    }

    /// Bytes that came back from the upstream so far.
    pub fn answered_bytes(&self) -> u64 {
        self.traffic.answered_bytes()
    }

    fn command(&self, command: Command) {
        let (done, wait) = blocking::channel();
        self.commands.send((command, done)).expect("the proxy's thread runs");
        wait.recv().expect("the proxy's thread answers");
    }
}

async fn serve(
    port: u16,
    upstream: String,
    weather: watch::Receiver<Weather>,
    mut orders: mpsc::UnboundedReceiver<(Command, blocking::Sender<()>)>,
    traffic: Arc<Traffic>,
) {
    let mut listener = None;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some((command, done)) => {
                    match command {
                        Command::Cut => {
                            listener = None;
                            connections.shutdown().await;
                        }
                        Command::Restore if listener.is_none() => {
                            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
                            listener = Some(bound.unwrap_or_else(|error| panic!("proxy port {port}: {error}")));
                        }
                        Command::Restore => {}
                    }
                    // A caller that went away meanwhile needs no answer.
                    done.send(()).ok();
                }
            },
            accepted = accept(listener.as_ref()) => {
                if let Ok(client) = accepted {
                    connections.spawn(connection(client, upstream.clone(), weather.clone(), traffic.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Both directions of a connection; over as soon as one of them is.
async fn connection(
    client: TcpStream,
    upstream: String,
    weather: watch::Receiver<Weather>,
    traffic: Arc<Traffic>,
) {
    let Ok(server) = TcpStream::connect(&upstream).await else { return };
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut requests = Requests::new(traffic.clone());
    let answers = |bytes: &[u8]| {
        traffic.answered(bytes);
        true
    };
    tokio::select! {
        () = pump(from_client, to_server, weather.clone(), |bytes| requests.pass(bytes)) => {}
        () = pump(from_server, to_client, weather, answers) => {}
    }
}

/// One direction: a reader stamps chunks with the time they are due, a writer passes them on then. Over when `pass`
/// says no to what was read.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    mut pass: impl FnMut(&[u8]) -> bool,
) {
    let (chunks, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_IN_FLIGHT);
    let seen = weather.clone();
    let reader = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let at = Instant::now() + seen.borrow().latency;
            if !pass(&buffer[..read]) || chunks.send((at, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writer = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            let Ok(now) = weather.wait_for(|weather| !weather.stalled).await.map(|now| *now) else { return };
            if let Some(limit) = now.bytes_per_second {
                sleep(Duration::from_secs_f64(bytes.len() as f64 / f64::from(limit))).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reader, writer);
}
