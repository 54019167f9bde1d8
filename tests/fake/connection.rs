//! One connection: requests are read, carried out and answered one after the other, as brokers do.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::decode_request_header_from_buffer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::api::{self, Outcome};
use super::cluster::{Shared, Stream};
use super::requests::{Reply, Request};

/// Largest request, as brokers have it (`socket.request.max.bytes`).
const LARGEST_BYTES: usize = 100 << 20;
/// Bytes of the smallest header: API, version, correlation id, length of the client's id.
const LEAST_BYTES: usize = 10;

/// How far a client is with its authentication.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) mechanism_agreed: bool,
    pub(super) done: bool,
}

/// Serves a connection until one side closes it.
pub(super) async fn serve(shared: &Shared, broker: i32, address: SocketAddr, mut stream: Box<dyn Stream>) {
    let mut login = Login { mechanism_agreed: false, done: shared.login.is_none() };
    let mut late = Vec::new();
    while let Some(frame) = read(&mut stream).await {
        let Some(request) = note(shared, broker, address, frame) else { return };
        hold(shared, &request).await;
        let interceptors = shared.interceptors.lock().clone();
        let reply = interceptors.iter().rev().find_map(|caught| caught(&request));
        // Interceptors count what a test may wait for.
        shared.active.send_replace(());
        let (bytes, close) = match reply {
            Some(Reply::Silence) => continue,
            Some(Reply::Close) => return,
            Some(Reply::AfterNext(bytes)) => {
                late.push(bytes);
                continue;
            }
            Some(Reply::Bytes(bytes)) => (Some(bytes), false),
            Some(Reply::Lose) => {
                api::carry_out(shared, &request, &mut login).await;
                return;
            }
            None => match api::carry_out(shared, &request, &mut login).await {
                Outcome::Answer(bytes) => (Some(bytes), false),
                Outcome::Last(bytes) => (Some(bytes), true),
                Outcome::Nothing => (None, false),
                Outcome::Close => return,
            },
        };
        late.extend(bytes);
        let latency = *shared.latency.lock();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        for bytes in late.drain(..) {
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        if stream.flush().await.is_err() || close {
            return;
        }
    }
}

/// The next request; `None` when the client is gone.
async fn read(stream: &mut Box<dyn Stream>) -> Option<Bytes> {
    let length = usize::try_from(stream.read_i32().await.ok()?).ok()?;
    if !(LEAST_BYTES..=LARGEST_BYTES).contains(&length) {
        return None;
    }
    let mut frame = BytesMut::zeroed(length);
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.freeze())
}

/// Reads a request's header and counts it; `None` where it is of no call that Kafka has.
fn note(shared: &Shared, broker: i32, address: SocketAddr, mut body: Bytes) -> Option<Request> {
    let header = decode_request_header_from_buffer(&mut body).ok()?;
    let api = ApiKey::try_from(header.request_api_key).ok()?;
    let nth = {
        let mut requests = shared.requests.lock();
        let nth = requests.iter().filter(|(_, earlier)| *earlier == api).count();
        requests.push((broker, api));
        nth
    };
    shared.active.send_replace(());
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    let (version, correlation) = (header.request_api_version, header.correlation_id);
    Some(Request { api, version, nth, broker, address, client_id, correlation, body })
}

/// Waits at the gates that are closed for a request.
async fn hold(shared: &Shared, request: &Request) {
    let gates = {
        let mut held = shared.held.lock();
        held.retain(|gate| !gate.is_over());
        held.iter().filter(|gate| gate.holds(request)).cloned().collect::<Vec<_>>()
    };
    for gate in gates {
        gate.wait().await;
    }
}
