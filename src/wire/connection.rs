//! One connection to one broker: requests go out pipelined, answers come back in the same order.
//!
//! A task owns the socket (`serve`). A call hands it an encoded request and waits for the answer; a caller that stops
//! waiting leaves nothing half written, and the answer that comes later is decoded (for its throttle time) and
//! dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::buffers::Buffers;
use super::call::{Call, Offered};
use super::chunks::RequestPieces;
use super::encoding::{self, decode, encode};
use super::error::{WireError, WireErrorKind};
use super::serve::serve;
use super::throttling::Throttling;
use crate::model::Alias;

/// Requests waiting to be written. Callers wait beyond it; brokers work on one request of a connection at a time.
const QUEUE: usize = 64;

/// What a connection runs over: a TCP stream, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a broker. It closes when it is dropped, fails, or has been idle for a while.
pub(super) struct Connection {
    shared: Arc<ConnectionShared>,
    requests: mpsc::Sender<OutgoingRequest>,
    client_id: StrBytes,
    offered: Offered,
    expires: Option<Instant>,
    round_trip: Duration,
}

/// What a connection shares with its task.
pub(super) struct ConnectionShared {
    pub(super) cluster: Alias,
    pub(super) broker: String,
    throttling: Arc<Throttling>,
    correlation: AtomicI32,
    pub(super) state: Mutex<ConnectionState>,
    pub(super) stop: Notify,
}

/// How far a connection is.
pub(super) struct ConnectionState {
    /// Written requests whose answers are to come, oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// Why the connection ended.
    ended: Option<WireError>,
    /// The broker wants to hear nothing before.
    pub(super) quiet_until: Instant,
    /// When bytes last moved, while answers are to come.
    pub(super) progress: Instant,
    /// What it is likely to mean if the broker hangs up instead of answering the next request.
    pub(super) hint: Option<&'static str>,
}

/// A request on its way to the task.
pub(super) struct OutgoingRequest {
    pub(super) frame: RequestPieces,
    pub(super) pending: Pending,
}

/// A request whose answer is to come.
pub(super) struct Pending {
    pub(super) correlation: i32,
    /// How long its answer may stay out once its turn has come, for the task to watch; `None` where the caller does.
    pub(super) limit: Option<Duration>,
    pub(super) deliver: Deliver,
}

/// Decodes the answer, notes for how long the broker wants quiet, and passes the answer to the caller.
type Deliver = Box<dyn FnOnce(Result<Bytes, WireError>) + Send>;

/// The answer to a request that was handed to the task.
pub(super) struct Awaited<A> {
    shared: Arc<ConnectionShared>,
    receiver: oneshot::Receiver<Result<A, WireError>>,
}

impl<A> Awaited<A> {
    /// Waits for it, without a limit of its own. Cancel safe.
    pub(super) async fn answer(&mut self) -> Result<A, WireError> {
        match (&mut self.receiver).await {
            Ok(answer) => answer,
            // The task ended before it took the request from its queue.
            Err(_) => Err(self.shared.why()),
        }
    }
}

impl Connection {
    /// Starts the task that serves a stream.
    #[expect(
        clippy::disallowed_methods,
        reason = "it serves one connection, and ends when the last request side is dropped"
    )]
    pub(super) fn start(
        cluster: Alias,
        broker: String,
        client_id: &str,
        stream: Box<dyn Stream>,
        buffers: Arc<Buffers>,
        throttling: Arc<Throttling>,
    ) -> Self {
        let shared = Arc::new(ConnectionShared {
            cluster,
            broker,
            throttling,
            correlation: AtomicI32::new(0),
            state: Mutex::new(ConnectionState {
                pending: VecDeque::new(),
                ended: None,
                quiet_until: Instant::now(),
                progress: Instant::now(),
                hint: None,
            }),
            stop: Notify::new(),
        });
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(serve(shared.clone(), stream, queue, buffers));
        let client_id = StrBytes::from_string(client_id.to_owned());
        let (offered, round_trip) = (Offered::default(), Duration::ZERO);
        Self { shared, requests, client_id, offered, expires: None, round_trip }
    }

    /// Notes what the broker offers.
    pub(super) fn set_offered(&mut self, offered: Offered) {
        self.offered = offered;
    }

    /// Notes until when the broker accepts our authentication.
    pub(super) fn set_expiry(&mut self, expires: Option<Instant>) {
        self.expires = expires;
    }

    /// Notes how long the broker took for an answer that costs it nothing.
    pub(super) fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// Notes what it is likely to mean if the broker hangs up instead of answering the next request.
    pub(super) fn set_hint(&self, hint: &'static str) {
        self.shared.state.lock().hint = Some(hint);
    }

    /// What the broker offers.
    pub(super) fn offered(&self) -> &Offered {
        &self.offered
    }

    /// How long the broker took for an answer that costs it nothing.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Until when the broker wants to hear nothing, while that is to come.
    pub(super) fn throttled_until(&self) -> Option<Instant> {
        Some(self.shared.state.lock().quiet_until).filter(|until| *until > Instant::now())
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
        let version = self.version::<C>()?;
        self.call_in(version, limit, build(version)).await
    }

    /// The highest version of a call that both sides speak.
    pub(super) fn version<C: Call>(&self) -> Result<i16, WireError> {
        self.offered.best::<C>().ok_or_else(|| {
            let detail = self.offered.describe::<C>();
            self.error(WireErrorKind::Unsupported(detail)).during(C::NAME)
        })
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
        let encode = |correlation, client_id: &_| {
            encode(&request, version, correlation, client_id).map(RequestPieces::from)
        };
        let (outgoing, mut awaited) = self.prepare::<C>(version, None, encode)?;
        match timeout_at(deadline, self.requests.send(outgoing)).await {
            Err(_) => return Err(self.time_out(limit)),
            // The task is gone and took nothing.
            Ok(Err(_)) => return Err(self.shared.why()),
            Ok(Ok(())) => {}
        }
        match timeout_at(deadline, awaited.answer()).await {
            Err(_) => Err(self.time_out(limit).after_sending()),
            Ok(answer) => answer,
        }
    }

    /// Queues a request; its answer is waited for apart. Requests are written in the order of their queueing, each
    /// as soon as the broker wants to hear from us.
    ///
    /// The connection ends when the answer stays out for longer than `limit`, counted from when its turn has come and
    /// nothing moves any more.
    /// Waits only while the queue is full. Cancel safe: nothing is queued when the future is dropped.
    pub(super) async fn post<C: Call>(
        &self,
        version: i16,
        limit: Duration,
        encode: impl FnOnce(i32, &StrBytes) -> encoding::Result<RequestPieces>,
    ) -> Result<Awaited<C::Answer>, WireError> {
        let (outgoing, awaited) = self.prepare::<C>(version, Some(limit), encode)?;
        // A failure to queue means that the task is gone and took nothing.
        self.requests.send(outgoing).await.map_err(|_| self.shared.why())?;
        Ok(awaited)
    }

    fn prepare<C: Call>(
        &self,
        version: i16,
        limit: Option<Duration>,
        encode: impl FnOnce(i32, &StrBytes) -> encoding::Result<RequestPieces>,
    ) -> Result<(OutgoingRequest, Awaited<C::Answer>), WireError> {
        let correlation = self.shared.correlation.fetch_add(1, Ordering::Relaxed);
        let frame = encode(correlation, &self.client_id).map_err(|error| {
            self.error(WireErrorKind::Protocol(format!("can't encode the request: {error}")))
        })?;
        let (answer, receiver) = oneshot::channel();
        let shared = self.shared.clone();
        let deliver: Deliver = Box::new(move |frame| {
            let decoded = frame.and_then(|frame| {
                decode::<C>(frame, version)
                    .map_err(|error| shared.error(WireErrorKind::Protocol(error.to_string())).after_sending())
            });
            if let Ok(answer) = &decoded {
                // Before the caller has the answer: its next request is to find the broker's wish noted.
                shared.throttle(C::NAME, C::throttle_ms(answer));
            }
            // A caller that stopped waiting needs no answer.
            drop(answer.send(decoded));
        });
        let outgoing = OutgoingRequest { frame, pending: Pending { correlation, limit, deliver } };
        Ok((outgoing, Awaited { shared: self.shared.clone(), receiver }))
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

impl ConnectionShared {
    pub(super) fn error(&self, kind: WireErrorKind) -> WireError {
        WireError::new(&self.cluster, kind).at(&self.broker)
    }

    /// Notes for how long the broker wants quiet.
    fn throttle(&self, call: &'static str, quiet_ms: i32) {
        let quiet = Duration::from_millis(u64::try_from(quiet_ms).unwrap_or(0));
        self.throttling.answered(&self.cluster, &self.broker, call, quiet);
        if !quiet.is_zero() {
            tracing::debug!(target: crate::wire::LOG, cluster = %self.cluster, broker = %self.broker, call, ?quiet, "throttled");
            let mut state = self.state.lock();
            state.quiet_until = state.quiet_until.max(Instant::now() + quiet);
        }
    }

    /// Why the connection ended.
    pub(super) fn why(&self) -> WireError {
        self.state.lock().ended.clone().unwrap_or_else(|| self.error(WireErrorKind::Lost("closed".into())))
    }

    /// Ends the connection, once: the first reason stays, and calls under way learn it.
    pub(super) fn end(&self, error: WireError) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::serve::IDLE;
    use kafka_protocol::messages::MetadataRequest;
    use tokio::io::{DuplexStream, duplex};

    fn connect() -> (Connection, DuplexStream) {
        let (stream, broker) = duplex(1024);
        let stream = Box::new(stream);
        (
            Connection::start(
                "east".into(),
                "broker:1".into(),
                "mesh",
                stream,
                Arc::default(),
                Arc::default(),
            ),
            broker,
        )
    }

    /// In memory and on a clock that jumps to the next timer: nothing here waits for real.
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed() {
        let (connection, _broker) = connect();
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        assert!(connection.is_usable());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!connection.is_usable());
        let error = connection.call_in(4, IDLE, MetadataRequest::default()).await.unwrap_err();
        assert!(error.is_retriable() && !error.may_have_been_sent(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_for_an_answer_is_not_idle() {
        let (connection, _broker) = connect();
        let error = connection.call_in(4, IDLE * 3, MetadataRequest::default()).await.unwrap_err();
        assert!(matches!(error.kind(), WireErrorKind::Timeout(limit) if *limit == IDLE * 3), "{error}");
        assert!(error.may_have_been_sent());
    }
}
