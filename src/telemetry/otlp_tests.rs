//! OTLP export against a collector of a few lines: it takes HTTP posts and keeps their bodies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use tokio::net::TcpSocket;

use super::testing::{spec, value_of};
use super::*;
use crate::topology::OtlpSpec;

/// Long enough that only an explicit flush exports.
const NEVER: Duration = Duration::from_secs(86_400);
/// Ceiling of every wait.
const CEILING: Duration = Duration::from_secs(60);

struct Post {
    path: String,
    content_type: String,
    body: Vec<u8>,
}

impl Post {
    fn names(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Starts a collector on a free port, on a thread that lives as long as the test process.
fn collector() -> (String, Receiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (posts, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let posts = posts.clone();
            let stream = stream.expect("accepted");
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(post) = read_post(&mut reader) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    // Kept before it is answered: then the test looks.
                    if posts.send(post).is_err() || reader.get_mut().write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("http://{address}"), received)
}

/// Reads one request; `None` when the peer is done.
fn read_post(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    Some(Post { path, content_type: header("content-type")?, body })
}

fn identity() -> Identity {
    Identity { mesh: "otlp-mesh".to_owned(), process: "process-1".to_owned(), version: "0.0.0".to_owned() }
}

fn start(endpoint: String) -> Telemetry {
    let spec = TelemetrySpec { otlp: Some(OtlpSpec { endpoint, interval: NEVER }), ..spec() };
    Telemetry::start(&spec, &identity()).expect("a sound address")
}

fn trace(telemetry: &Telemetry, contexts: &[&[u8]]) {
    let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms);
    let batch = BatchTrace {
        flow: &"east-west".into(),
        from: &"east".into(),
        to: &"west".into(),
        source_topic: &"orders".into(),
        target_topic: &"east.orders".into(),
        partition: 3,
        source_base: 1_000,
        target_base: Some(990),
        records: 25,
        received: (at(0), at(5)),
        sent: (at(6), at(20)),
    };
    telemetry.spans().batch_mirrored(&batch, contexts.iter().copied());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_spans_reach_the_collector_before_shutdown_returns() {
    let (endpoint, posts) = collector();
    let telemetry = start(endpoint);
    telemetry.metrics().flow(&"east-west".into(), &"east".into(), &"west".into()).positions_saved(1);
    trace(&telemetry, &[]);
    assert!(telemetry.shutdown(CEILING).await);

    let posts: Vec<Post> = posts.try_iter().collect();
    let metrics = posts.iter().find(|post| post.path == "/v1/metrics").expect("metrics were posted");
    assert_eq!(metrics.content_type, "application/x-protobuf");
    for text in ["mirrormesh.positions.saved", "east-west", "otlp-mesh"] {
        assert!(metrics.names(text), "{text}");
    }
    let spans = posts.iter().find(|post| post.path == "/v1/traces").expect("spans were posted");
    let wanted = [
        "receive orders",
        "send east.orders",
        "messaging.batch.message_count",
        "messaging.kafka.offset",
        "otlp-mesh",
    ];
    for text in wanted {
        assert!(spans.names(text), "{text}");
    }
    assert!(!telemetry.prometheus_text().contains("signal=\"metrics\"} 1"), "nothing failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_link_to_sampled_records_only() {
    let (endpoint, posts) = collector();
    let telemetry = start(endpoint);
    let sampled = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let unsampled = b"00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";
    trace(&telemetry, &[unsampled, b"not a context", sampled]);
    assert!(telemetry.shutdown(CEILING).await);
    let spans = posts.try_iter().find(|post| post.path == "/v1/traces").expect("spans were posted");
    let trace_id =
        |first: u8| [&[first][..], b"\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"].concat();
    let count = |id: &[u8]| spans.body.windows(16).filter(|window| *window == id).count();
    assert_eq!(count(&trace_id(0x0a)), 2, "both spans link to the sampled record");
    assert_eq!(count(&trace_id(0x1b)), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_down_is_counted_and_stops_nothing() {
    // Bound and held, so that nobody listens there, no other test either.
    let held = TcpSocket::new_v4().expect("a socket can be made");
    held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let telemetry = start(format!("http://{}", held.local_addr().expect("bound")));
    let flow = telemetry.metrics().flow(&"east-west".into(), &"east".into(), &"west".into());
    trace(&telemetry, &[]);
    telemetry.0.meters.force_flush().expect("a failed export is told, not returned");
    flow.positions_saved(2);
    let text = telemetry.prometheus_text();
    let failures = "mirrormesh_telemetry_export_failures_total";
    assert_eq!(value_of(&text, failures, &[("signal", "metrics")]), Some(1.0), "{text}");
    assert_eq!(value_of(&text, "mirrormesh_positions_saved_total", &[("flow", "east-west")]), Some(2.0));
    assert!(telemetry.shutdown(CEILING).await);
    assert!(telemetry.shutdown(CEILING).await, "a second call does nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_returns_at_its_deadline_when_the_endpoint_hangs() {
    // Connections are taken by the system's queue and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let telemetry = start(format!("http://{}", listener.local_addr().expect("bound")));
    trace(&telemetry, &[]);
    assert!(!telemetry.shutdown(Duration::from_millis(10)).await);
}
