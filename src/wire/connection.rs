//! One connection to one broker: requests go out pipelined, answers come back in the same order.
//!
//! A task owns the socket. A call hands it an encoded request and waits for the answer; a caller that stops waiting
//! leaves nothing half written, and the answer that comes later is decoded (for its throttle time) and dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::call::{Call, Offered};
use super::error::{WireError, WireErrorKind};
use super::frame::read_frame;
use super::tls;
use crate::model::Alias;

/// A connection without use for this long is closed: before brokers do (`connections.max.idle.ms`, 10 minutes) and
/// before load balancers and firewalls forget it without telling (from 4 minutes).
const IDLE: Duration = Duration::from_secs(180);

/// Requests waiting to be written. Callers wait beyond it; brokers work on one request of a connection at a time.
const QUEUE: usize = 64;

/// What a connection runs over: a TCP stream, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a broker. It closes when it is dropped, fails, or has been idle for a while.
pub(super) struct Connection {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Outgoing>,
    client_id: StrBytes,
    offered: Offered,
    expires: Option<Instant>,
}

struct Shared {
    cluster: Alias,
    broker: String,
    correlation: AtomicI32,
    state: Mutex<State>,
    stop: Notify,
}

struct State {
    /// Written requests whose answers are to come, oldest first.
    pending: VecDeque<Pending>,
    /// Why the connection ended.
    ended: Option<WireError>,
    /// The broker wants to hear nothing before.
    quiet_until: Instant,
    /// What it is likely to mean if the broker hangs up instead of answering the next request.
    hint: Option<&'static str>,
}

struct Outgoing {
    frame: Bytes,
    pending: Pending,
}

struct Pending {
    correlation: i32,
    deliver: Deliver,
}

/// Decodes the answer, passes it to the caller, and returns for how long the broker wants quiet.
type Deliver = Box<dyn FnOnce(Result<Bytes, WireError>) -> Duration + Send>;

impl Connection {
    /// Starts the task that serves a stream.
    pub(super) fn start(cluster: Alias, broker: String, client_id: &str, stream: Box<dyn Stream>) -> Self {
        let shared = Arc::new(Shared {
            cluster,
            broker,
            correlation: AtomicI32::new(0),
            state: Mutex::new(State {
                pending: VecDeque::new(),
                ended: None,
                quiet_until: Instant::now(),
                hint: None,
            }),
            stop: Notify::new(),
        });
        let (requests, queue) = mpsc::channel(QUEUE);
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(serve(shared.clone(), reader, writer, queue));
        let client_id = StrBytes::from_string(client_id.to_owned());
        Self { shared, requests, client_id, offered: Offered::default(), expires: None }
    }

    /// Notes what the broker offers.
    pub(super) fn set_offered(&mut self, offered: Offered) {
        self.offered = offered;
    }

    /// Notes until when the broker accepts our authentication.
    pub(super) fn set_expiry(&mut self, expires: Option<Instant>) {
        self.expires = expires;
    }

    /// Notes what it is likely to mean if the broker hangs up instead of answering the next request.
    pub(super) fn set_hint(&self, hint: &'static str) {
        self.shared.state.lock().hint = Some(hint);
    }

    /// What the broker offers.
    pub(super) fn offered(&self) -> &Offered {
        &self.offered
    }

    /// The broker's address.
    pub(super) fn broker(&self) -> &str {
        &self.shared.broker
    }

    /// Whether a new request may be sent here.
    pub(super) fn is_usable(&self) -> bool {
        self.expires.is_none_or(|at| Instant::now() < at) && self.shared.state.lock().ended.is_none()
    }

    /// An error that names this broker.
    pub(super) fn error(&self, kind: WireErrorKind) -> WireError {
        self.shared.error(kind)
    }

    /// Ends the connection; calls under way fail.
    pub(super) fn close(&self) {
        self.shared.end(self.shared.error(WireErrorKind::Closed));
    }

    /// Sends a request in the highest version both sides speak, and waits for its answer, at most `limit`.
    ///
    /// When the time is up the connection is closed: answers come in order, so nothing behind the missing one
    /// could be read either. Cancel safe.
    pub(super) async fn call<C: Call>(
        &self,
        limit: Duration,
        build: impl FnOnce(i16) -> C,
    ) -> Result<C::Answer, WireError> {
        let Some(version) = self.offered.best::<C>() else {
            let detail = self.offered.describe::<C>();
            return Err(self.error(WireErrorKind::Unsupported(detail)).during(C::NAME));
        };
        self.call_in(version, limit, build(version)).await
    }

    /// Like [`Connection::call`], in a version of the caller's choice.
    pub(super) async fn call_in<C: Call>(
        &self,
        version: i16,
        limit: Duration,
        request: C,
    ) -> Result<C::Answer, WireError> {
        self.exchange(version, limit, request).await.map_err(|error| error.at(self.broker()).during(C::NAME))
    }

    async fn exchange<C: Call>(
        &self,
        version: i16,
        limit: Duration,
        request: C,
    ) -> Result<C::Answer, WireError> {
        let deadline = Instant::now() + limit;
        self.keep_quiet(deadline).await?;
        let correlation = self.shared.correlation.fetch_add(1, Ordering::Relaxed);
        let frame = encode(&request, version, correlation, &self.client_id).map_err(|error| {
            self.error(WireErrorKind::Protocol(format!("can't encode the request: {error}")))
        })?;
        let (answer, receiver) = oneshot::channel();
        let shared = self.shared.clone();
        let deliver: Deliver = Box::new(move |frame| {
            let decoded = frame.and_then(|frame| {
                decode::<C>(frame, version)
                    .map_err(|error| shared.error(WireErrorKind::Protocol(error.to_string())).after_sending())
            });
            let quiet = decoded.as_ref().map_or(0, C::throttle_ms);
            // A caller that stopped waiting needs no answer.
            drop(answer.send(decoded));
            Duration::from_millis(u64::try_from(quiet).unwrap_or(0))
        });
        let outgoing = Outgoing { frame, pending: Pending { correlation, deliver } };
        match timeout_at(deadline, self.requests.send(outgoing)).await {
            Err(_) => return Err(self.time_out(limit)),
            // The task is gone and took nothing.
            Ok(Err(_)) => return Err(self.shared.why()),
            Ok(Ok(())) => {}
        }
        match timeout_at(deadline, receiver).await {
            Err(_) => Err(self.time_out(limit).after_sending()),
            // The task ended before it took the request from its queue.
            Ok(Err(_)) => Err(self.shared.why()),
            Ok(Ok(answer)) => answer,
        }
    }

    /// Waits until the broker wants to hear from us again.
    async fn keep_quiet(&self, deadline: Instant) -> Result<(), WireError> {
        loop {
            let until = self.shared.state.lock().quiet_until;
            let now = Instant::now();
            if until <= now {
                return Ok(());
            }
            if until >= deadline {
                return Err(self.error(WireErrorKind::Throttled(until - now)).settle());
            }
            sleep_until(until).await;
        }
    }

    fn time_out(&self, limit: Duration) -> WireError {
        let error = self.error(WireErrorKind::Timeout(limit));
        self.shared.end(
            self.error(WireErrorKind::Lost(format!("an earlier request had no answer within {limit:?}"))),
        );
        error
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn error(&self, kind: WireErrorKind) -> WireError {
        WireError::new(&self.cluster, kind).at(&self.broker)
    }

    /// Why the connection ended.
    fn why(&self) -> WireError {
        self.state.lock().ended.clone().unwrap_or_else(|| self.error(WireErrorKind::Lost("closed".into())))
    }

    /// Ends the connection, once: the first reason stays, and calls under way learn it.
    fn end(&self, error: WireError) {
        let pending = {
            let mut state = self.state.lock();
            if state.ended.is_none() {
                state.ended = Some(error.clone());
            }
            std::mem::take(&mut state.pending)
        };
        self.stop.notify_one();
        for waiting in pending {
            (waiting.deliver)(Err(error.clone().after_sending()));
        }
    }
}

/// Serves the stream until it fails, idles, or is told to stop.
async fn serve(
    shared: Arc<Shared>,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    queue: mpsc::Receiver<Outgoing>,
) {
    let error = tokio::select! {
        error = read_answers(&shared, reader) => error,
        error = write_requests(&shared, writer, queue) => error,
        () = shared.stop.notified() => shared.why(),
    };
    tracing::debug!(cluster = %shared.cluster, broker = %shared.broker, reason = %error.kind(), "connection closed");
    shared.end(error);
}

async fn read_answers(shared: &Shared, mut reader: ReadHalf<Box<dyn Stream>>) -> WireError {
    loop {
        let frame = match read_frame(&mut reader).await {
            Ok(frame) => frame,
            Err(error) => return shared.error(explain(tls::read_failed(error), shared.state.lock().hint)),
        };
        let Some(correlation) = frame.get(..4).map(|mut bytes| bytes.get_i32()) else {
            return shared.error(WireErrorKind::Protocol(format!("a frame of {} bytes", frame.len())));
        };
        let due = {
            let mut state = shared.state.lock();
            state.hint = None;
            state.pending.pop_front()
        };
        let Some(pending) = due else {
            return shared.error(WireErrorKind::Protocol("an answer that nothing asked for".into()));
        };
        if pending.correlation != correlation {
            let detail = format!("answer {correlation} where {} was due", pending.correlation);
            let error = shared.error(WireErrorKind::Protocol(detail));
            (pending.deliver)(Err(error.clone().after_sending()));
            return error;
        }
        let quiet = (pending.deliver)(Ok(frame));
        if !quiet.is_zero() {
            tracing::debug!(cluster = %shared.cluster, broker = %shared.broker, ?quiet, "throttled");
            let mut state = shared.state.lock();
            state.quiet_until = state.quiet_until.max(Instant::now() + quiet);
        }
    }
}

fn explain(kind: WireErrorKind, hint: Option<&str>) -> WireErrorKind {
    match (kind, hint) {
        (WireErrorKind::Lost(detail), Some(hint)) => WireErrorKind::Lost(format!("{detail}; {hint}")),
        (kind, _) => kind,
    }
}

async fn write_requests(
    shared: &Shared,
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut queue: mpsc::Receiver<Outgoing>,
) -> WireError {
    loop {
        let outgoing = match timeout(IDLE, queue.recv()).await {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => return shared.error(WireErrorKind::Closed),
            Err(_) if shared.state.lock().pending.is_empty() => {
                return shared.error(WireErrorKind::Lost("idle".into()));
            }
            Err(_) => continue,
        };
        if let Err(error) = write_one(shared, &mut writer, outgoing, queue.is_empty()).await {
            return shared.error(WireErrorKind::Lost(error.to_string()));
        }
    }
}

async fn write_one(
    shared: &Shared,
    writer: &mut WriteHalf<Box<dyn Stream>>,
    outgoing: Outgoing,
    last: bool,
) -> io::Result<()> {
    // Before the bytes: the answer can't come sooner than the request is expected.
    shared.state.lock().pending.push_back(outgoing.pending);
    writer.write_all(&outgoing.frame).await?;
    if last {
        writer.flush().await?;
    }
    Ok(())
}

fn encode<C: Call>(
    request: &C,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> codec::Result<Bytes> {
    let mut header = RequestHeader::default();
    header.request_api_key = C::API as i16;
    header.request_api_version = version;
    header.correlation_id = correlation;
    header.client_id = Some(client_id.clone());
    let header_version = C::header_version(version);
    let length = header.compute_size(header_version)? + request.compute_size(version)?;
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32(u32::try_from(length)?);
    header.encode(&mut frame, header_version)?;
    request.encode(&mut frame, version)?;
    Ok(frame.freeze())
}

fn decode<C: Call>(mut frame: Bytes, mut version: i16) -> codec::Result<C::Answer> {
    ResponseHeader::decode(&mut frame, C::Answer::header_version(version))?;
    // A broker that doesn't speak our version of ApiVersions answers in version 0, so that anybody can read it.
    if C::API == ApiKey::ApiVersions
        && frame.get(..2).map(|mut bytes| bytes.get_i16()) == Some(ResponseError::UnsupportedVersion.code())
    {
        version = 0;
    }
    let answer = C::Answer::decode(&mut frame, version)?;
    if frame.has_remaining() {
        return Err(format!("{} bytes too many", frame.len()).into());
    }
    Ok(answer)
}

/// The codec's errors are of a type that is not ours to name: any error will do.
mod codec {
    pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::MetadataRequest;
    use tokio::io::duplex;

    /// In memory and on a clock that jumps to the next timer: nothing here waits for real.
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed() {
        let (stream, _broker) = duplex(1024);
        let connection = Connection::start("east".into(), "broker:1".into(), "mesh", Box::new(stream));
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        assert!(connection.is_usable());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!connection.is_usable());
        let error = connection.call_in(4, IDLE, MetadataRequest::default()).await.unwrap_err();
        assert!(error.is_retriable() && !error.was_sent(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_for_an_answer_is_not_idle() {
        let (stream, _broker) = duplex(1024);
        let connection = Connection::start("east".into(), "broker:1".into(), "mesh", Box::new(stream));
        let error = connection.call_in(4, IDLE * 3, MetadataRequest::default()).await.unwrap_err();
        assert!(matches!(error.kind(), WireErrorKind::Timeout(limit) if *limit == IDLE * 3), "{error}");
        assert!(error.was_sent());
    }
}
