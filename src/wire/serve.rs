//! The task behind a connection: writes requests, reads answers, and watches that those of a link don't stay out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::buffers::Buffers;
use super::connection::{ConnectionShared, OutgoingRequest, Stream};
use super::error::{WireError, WireErrorKind};
use super::frame::FrameReader;
use super::tls;

/// A connection without use for this long is closed: before brokers do (`connections.max.idle.ms`, 10 minutes) and
/// before load balancers and firewalls forget it without telling (from 4 minutes).
pub(super) const IDLE: Duration = Duration::from_secs(180);

/// How often is looked for requests to watch while there are none: limits are longer, so none is noticed late.
const WATCH: Duration = Duration::from_secs(1);

/// Serves the stream until it fails, idles, or is told to stop.
pub(super) async fn serve(
    shared: Arc<ConnectionShared>,
    stream: Box<dyn Stream>,
    queue: mpsc::Receiver<OutgoingRequest>,
    buffers: Arc<Buffers>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let error = tokio::select! {
        error = read_answers(&shared, reader, buffers) => error,
        error = write_requests(&shared, writer, queue) => error,
        error = watch(&shared) => error,
        () = shared.stop.notified() => shared.why(),
    };
    tracing::debug!(target: crate::wire::LOG, cluster = %shared.cluster, broker = %shared.broker, reason = %error.kind(), "connection closed");
    shared.end(error);
}

async fn read_answers(
    shared: &ConnectionShared,
    mut reader: ReadHalf<Box<dyn Stream>>,
    buffers: Arc<Buffers>,
) -> WireError {
    let mut frames = FrameReader::new(buffers);
    let moved = || shared.state.lock().progress = Instant::now();
    loop {
        let frame = match frames.read(&mut reader, moved).await {
            Ok(frame) => frame,
            Err(error) => return shared.error(explain(tls::read_failed(error), shared.state.lock().hint)),
        };
        let Some(correlation) = frame.get(..4).map(|mut bytes| bytes.get_i32()) else {
            return shared.error(WireErrorKind::Protocol(format!("a frame of {} bytes", frame.len())));
        };
        let due = {
            let mut state = shared.state.lock();
            state.hint = None;
            state.progress = Instant::now();
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
        (pending.deliver)(Ok(frame));
    }
}

fn explain(kind: WireErrorKind, hint: Option<&str>) -> WireErrorKind {
    match (kind, hint) {
        (WireErrorKind::Lost(detail), Some(hint)) => WireErrorKind::Lost(format!("{detail}; {hint}")),
        (kind, _) => kind,
    }
}

async fn write_requests(
    shared: &ConnectionShared,
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut queue: mpsc::Receiver<OutgoingRequest>,
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
        if outgoing.pending.limit.is_some() {
            wait_out_throttle(shared).await;
        }
        if let Err(error) = write_one(shared, &mut writer, outgoing, queue.is_empty()).await {
            return shared.error(WireErrorKind::Lost(error.to_string()));
        }
    }
}

/// Waits until the broker wants to hear from us again, however long that is.
async fn wait_out_throttle(shared: &ConnectionShared) {
    loop {
        let until = shared.state.lock().quiet_until;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

async fn write_one(
    shared: &ConnectionShared,
    writer: &mut WriteHalf<Box<dyn Stream>>,
    mut outgoing: OutgoingRequest,
    last: bool,
) -> io::Result<()> {
    {
        // Before the bytes: the answer can't come sooner than the request is expected.
        let mut state = shared.state.lock();
        if state.pending.is_empty() {
            state.progress = Instant::now();
        }
        state.pending.push_back(outgoing.pending);
    }
    while outgoing.frame.has_remaining() {
        if writer.write_buf(&mut outgoing.frame).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        shared.state.lock().progress = Instant::now();
    }
    if last {
        writer.flush().await?;
    }
    Ok(())
}

/// Ends when the answer to a link's request stays out.
///
/// Neither the answers before it nor the broker's quiet time count against it, so that requests may be piled up
/// behind each other; nor does time in which bytes move, so that a slow network is not taken for a dead one.
async fn watch(shared: &ConnectionShared) -> WireError {
    loop {
        let due = {
            let state = shared.state.lock();
            let limit = state.pending.front().and_then(|oldest| oldest.limit);
            limit.map(|limit| (state.progress.max(state.quiet_until) + limit, limit))
        };
        match due {
            None => sleep(WATCH).await,
            Some((at, limit)) if at <= Instant::now() => {
                return shared.error(WireErrorKind::Timeout(limit));
            }
            Some((at, _)) => sleep_until(at).await,
        }
    }
}
