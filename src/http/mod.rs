//! The HTTP side: `/metrics`, `/healthz`, `/readyz`, `/status`, `/offsets`, `/events`.
//!
//! It listens where `http.listen` says, speaks plain HTTP and asks nobody for a password: nothing secret is on any
//! page, and every page only reads.

mod events;
mod health;
mod listener;
mod metrics;
mod offsets;
mod ready;
mod status;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use ready::{Readiness, Unready, readiness};

use crate::mesh::OffsetsView;
use crate::model::status::MeshStatus;
use crate::telemetry::Telemetry;
use listener::Limited;

/// The target of this room's log lines, for filters such as `mirrormesh::http=debug`.
pub(crate) const LOG: &str = "mirrormesh::http";

/// Where the pages get what they show.
#[derive(Clone)]
pub struct HttpState {
    /// The mesh's status; quick, called once per request.
    pub status: Arc<dyn Fn() -> MeshStatus + Send + Sync>,
    /// What the mesh knows of offsets and groups; quick, called a few times per request.
    pub offsets: Arc<dyn OffsetsView>,
    /// The mesh's telemetry.
    pub telemetry: Telemetry,
}

/// Why the HTTP side could not be started.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Another process, or another mesh, listens there.
    #[error(
        "http.listen: {listen} is in use by another process; stop that one, choose another port, \
         or use port 0 for any free one"
    )]
    InUse {
        /// The address given.
        listen: SocketAddr,
    },
    /// The address can't be listened on.
    #[error(
        "http.listen: can't listen on {listen}: {source}; use an address of this host, for example 0.0.0.0:8088"
    )]
    Bind {
        /// The address given.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A running HTTP side.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens: the real port, where 0 was asked for.
    pub address: SocketAddr,
    /// Ends when `shutdown` was signalled and open requests were answered; a client that doesn't take its answer
    /// can hold it up for 75 s, so a caller in a hurry waits with a deadline and aborts it.
    pub task: JoinHandle<()>,
}

/// Starts to serve, and goes on until `shutdown` resolves; requests that are open then are answered first.
///
/// # Errors
/// The address can't be listened on.
#[expect(clippy::disallowed_methods, reason = "the handle is given to the caller, who awaits it")]
pub async fn serve(
    listen: SocketAddr,
    state: HttpState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Serving, HttpError> {
    let bind = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => HttpError::InUse { listen },
        _ => HttpError::Bind { listen, source },
    };
    let listener = TcpListener::bind(listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let service = router(state);
    let task = tokio::spawn(async move {
        let served = axum::serve(Limited::new(listener), service).with_graceful_shutdown(shutdown).await;
        if let Err(error) = served {
            tracing::error!(target: crate::http::LOG, error = %error, %address, "http has stopped; the mesh goes on without it");
        }
    });
    tracing::info!(target: crate::http::LOG, %address, "http listens");
    Ok(Serving { address, task })
}

fn router(state: HttpState) -> Router {
    Router::new()
        .route("/metrics", get(metrics::show))
        .route("/healthz", get(health::show))
        .route("/readyz", get(ready::show))
        .route("/status", get(status::show))
        .route("/offsets", get(offsets::show))
        .route("/events", get(events::show))
        .fallback(nothing_here)
        .with_state(state)
}

async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there are /metrics, /healthz, /readyz, /status, /offsets and /events\n")
}

#[cfg(test)]
pub(crate) mod tests;
