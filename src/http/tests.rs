mod offsets;
pub(crate) mod snapshot;

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::model::Event;
use crate::model::status::{FlowState, PartitionState};
use crate::telemetry::Scope;
use crate::telemetry::testing::{flow, mesh, partition};

struct Page {
    code: u16,
    head: String,
    body: String,
}

impl Page {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON page")
    }
}

async fn get(address: SocketAddr, path: &str) -> Page {
    request(address, "GET", path).await
}

async fn request(address: SocketAddr, method: &str, path: &str) -> Page {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let code = head.split(' ').nth(1).expect("a status line").parse().expect("a number");
    Page { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

struct RunningServer {
    address: SocketAddr,
    status: Arc<Mutex<MeshStatus>>,
    telemetry: Telemetry,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn run() -> RunningServer {
    let status = mesh(vec![
        flow("east-west", vec![partition("orders", 0, PartitionState::Streaming)]),
        flow("east-west-2", vec![]),
    ]);
    let status = Arc::new(Mutex::new(status));
    let telemetry = Telemetry::quiet();
    let board = status.clone();
    let source: Arc<dyn Fn() -> MeshStatus + Send + Sync> = Arc::new(move || board.lock().clone());
    telemetry.metrics().observe(source.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let offsets = Arc::new(offsets::KnownOffsets::default());
    let state = HttpState { status: source, offsets, telemetry: telemetry.clone() };
    let shutdown = async move { drop(stopped.await) };
    let Serving { address, task } =
        serve("127.0.0.1:0".parse().expect("an address"), state, shutdown).await.expect("a free port");
    RunningServer { address, status, telemetry, stop, task }
}

#[tokio::test]
async fn metrics_are_served_in_prometheus_format() {
    let running = run().await;
    let page = get(running.address, "/metrics").await;
    assert_eq!(page.code, 200);
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    assert!(page.body.contains("mirrormesh_cluster_reachable{cluster=\"west\"} 1"), "{}", page.body);
}

#[tokio::test]
async fn a_process_that_answers_is_alive_even_when_not_ready() {
    let running = run().await;
    running.status.lock().draining = true;
    assert_eq!(get(running.address, "/healthz").await.code, 200);
    assert_eq!(get(running.address, "/readyz").await.code, 503);
}

#[tokio::test]
async fn readiness_comes_with_reasons() {
    let running = run().await;
    let page = get(running.address, "/readyz").await;
    assert_eq!((page.code, page.json()["ready"].as_bool()), (200, Some(true)));
    {
        let mut status = running.status.lock();
        status.flows[1].state = FlowState::Faulted;
        status.flows[1].reason = Some("another process mirrors it".to_owned());
    }
    let page = get(running.address, "/readyz").await;
    assert_eq!(page.code, 503);
    let reason = &page.json()["reasons"][0];
    assert_eq!(reason["what"], "flow");
    assert_eq!(reason["flow"], "east-west-2");
    assert_eq!(reason["state"], "faulted");
    assert_eq!(reason["reason"], "another process mirrors it");
}

#[tokio::test]
async fn the_status_is_json_and_can_be_narrowed_to_a_flow() {
    let running = run().await;
    let all = get(running.address, "/status").await;
    assert!(all.head.contains("content-type: application/json"), "{}", all.head);
    let all = all.json();
    assert_eq!(all["mesh"], "test");
    assert_eq!(all["flows"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["flows"][0]["partitions"][0]["state"], "streaming");
    assert_eq!(all["clusters"][1]["upstreams"][0]["path"], serde_json::json!(["east", "west"]));
    let one = get(running.address, "/status?flow=east-west-2").await.json();
    assert_eq!(one["flows"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["flows"][0]["name"], "east-west-2");
    let none = get(running.address, "/status?flow=nowhere").await;
    assert_eq!(none.code, 404);
    assert_eq!(none.json()["flows"], serde_json::json!(["east-west", "east-west-2"]));
}

#[tokio::test]
async fn events_are_shown() {
    let running = run().await;
    let scope = Scope::partition(&"east-west".into(), &"orders".into(), 3);
    running.telemetry.events().report(&scope, &Event::RetentionOvertook { from: 4, to: 9 });
    let event = get(running.address, "/events").await.json()["events"][0].clone();
    assert_eq!(event["event"], "retention_overtook");
    assert_eq!(event["severity"], "error");
    assert_eq!((event["flow"].as_str(), event["topic"].as_str()), (Some("east-west"), Some("orders")));
    assert_eq!(event["partition"], 3);
    assert_eq!(event["details"], serde_json::json!({ "from": 4, "to": 9 }));
}

#[tokio::test]
async fn pages_only_read_and_unknown_ones_name_those_there_are() {
    let running = run().await;
    assert_eq!(request(running.address, "POST", "/status").await.code, 405);
    let page = get(running.address, "/").await;
    assert_eq!(page.code, 404);
    assert!(page.body.contains("/readyz"), "{}", page.body);
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_key_and_a_way_out() {
    let running = run().await;
    let offsets = Arc::new(offsets::KnownOffsets::default());
    let state = HttpState { status: Arc::new(MeshStatus::default), offsets, telemetry: Telemetry::quiet() };
    let error = serve(running.address, state, std::future::pending()).await.expect_err("in use").to_string();
    assert!(error.contains("http.listen") && error.contains(&running.address.to_string()), "{error}");
    assert!(error.contains("another port"), "{error}");
}

#[tokio::test]
async fn it_stops_when_told_even_while_a_connection_is_open() {
    let running = run().await;
    let _silent = TcpStream::connect(running.address).await.expect("it listens");
    let mut kept = TcpStream::connect(running.address).await.expect("it listens");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.expect("answered");
    assert_eq!(&answer, b"HTTP/1.1 200");
    running.stop.send(()).expect("it still serves");
    let ended = tokio::time::timeout(Duration::from_secs(60), running.task).await;
    ended.expect("it ends").expect("without a panic");
    assert!(TcpStream::connect(running.address).await.is_err());
}
