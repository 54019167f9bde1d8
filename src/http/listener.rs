//! A listener with limits: so many connections, none of which may idle for ever.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Open connections at most: Prometheus, a probe, a dashboard and some people; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 64;
/// Time without a byte after which a connection is closed; longer than Prometheus's default scrape interval of a
/// minute, so that its connection lives on.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A TCP listener that holds back when too many connections are open.
pub(super) struct Limited {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    idle: Duration,
}

impl Limited {
    /// Limits `listener`.
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::with(listener, MAX_CONNECTIONS, IDLE_TIMEOUT)
    }

    fn with(listener: TcpListener, connections: usize, idle: Duration) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(connections)), idle }
    }
}

impl Listener for Limited {
    type Io = HttpConnection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        // axum's own accept waits and tries again when the process is out of descriptors.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (HttpConnection::new(stream, slot, self.idle), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing moves for too long, and frees its slot when it ends.
pub(super) struct HttpConnection<S> {
    stream: S,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl<S> HttpConnection<S> {
    fn new(stream: S, slot: OwnedSemaphorePermit, idle: Duration) -> Self {
        Self { stream, idle, deadline: Box::pin(tokio::time::sleep(idle)), _slot: slot }
    }

    /// Passes on what the stream says; while it is pending, the deadline counts.
    fn guard<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + self.idle);
            return polled;
        }
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HttpConnection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.guard(cx, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HttpConnection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.guard(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.guard(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn connection(
        idle: Duration,
    ) -> (HttpConnection<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let slots = Arc::new(Semaphore::new(1));
        let slot = slots.acquire_owned().await.expect("open");
        let (near, far) = tokio::io::duplex(64);
        (HttpConnection::new(near, slot, idle), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_dropped_and_a_talking_one_is_not() {
        let (mut connection, mut far) = connection(Duration::from_secs(10)).await;
        let started = Instant::now();
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(9)).await;
            far.write_all(b"x").await.expect("open");
            assert_eq!(connection.read_u8().await.expect("in time"), b'x');
        }
        let silence = tokio::time::timeout(Duration::from_secs(60), connection.read_u8()).await;
        let error = silence.expect("it is noticed").expect_err("nobody talks");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), Duration::from_secs(55));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_dropped() {
        let (mut connection, far) = connection(Duration::from_secs(10)).await;
        let stuck = tokio::time::timeout(Duration::from_secs(60), connection.write_all(&[0; 65])).await;
        let error = stuck.expect("it is noticed").expect_err("64 bytes fit");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_a_slot() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut limited = Limited::with(listener, 1, IDLE_TIMEOUT);
        let address = limited.local_addr().expect("bound");
        let _one = TcpStream::connect(address).await.expect("accepted by the system");
        let _two = TcpStream::connect(address).await.expect("accepted by the system");
        let (first, _) = limited.accept().await;
        let mut second = Box::pin(limited.accept());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.await;
    }
}
