//! Reads batches: one loop per source broker and connection, with an incremental fetch session (KIP-227).
//!
//! A `router` task brings lanes to the loop of their partition's leader, or of a closer replica, and again when those
//! move. A `fetch_loop` owns a connection and the lanes that are read over it: `table` keeps them and says to the
//! `fetch_session` which have credit, `request_size` says how much a request asks for, `answer` hands on what comes, cut
//! into batches by `response`. A lane's fetch is a `reader`; it is in one place at a time.
//!
//! Memory: a request reserves what its answer may take; when the answer is here, each batch gets its part of that as
//! a permit of its lane. A lane whose account admits no more leaves the session until bytes are freed.

mod answer;
mod fetch_loop;
mod fetch_session;
mod reader;
mod request_size;
mod response;
mod router;
mod table;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use self::router::{Router, RouterOrder};
use super::Shared;
use super::lane::Lane;
use super::round_trip::RoundTrips;
use crate::engine::budget::Account;
use crate::engine::panic::panic_text;
use crate::model::{FlowName, Isolation};
use crate::wire::Wire;

/// What the source side is made of.
pub(super) struct SourceSpec {
    /// The flow, for logs.
    pub(super) flow: FlowName,
    /// Client of the source.
    pub(super) wire: Wire,
    /// Which records are mirrored.
    pub(super) isolation: Isolation,
    /// `client.rack`.
    pub(super) rack: Option<String>,
    /// The flow's share of the byte budget.
    pub(super) account: Account,
    /// The shortest round trips.
    pub(super) round_trips: Arc<RoundTrips>,
}

/// The source side of a session.
pub(super) struct Source {
    orders: UnboundedSender<RouterOrder>,
    router: Mutex<Option<JoinHandle<()>>>,
}

impl Source {
    /// Starts it; connections are made when a lane fetches.
    #[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
    pub(super) fn start(spec: SourceSpec, shared: Arc<Shared>) -> Self {
        let (orders, queue) = unbounded_channel();
        let router = Router::new(spec, shared.clone(), queue, orders.clone());
        let router = tokio::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(router.run()).catch_unwind().await {
                shared.lose(format!("the source side panicked: {}", panic_text(&*panic)), || {});
            }
        });
        Self { orders, router: Mutex::new(Some(router)) }
    }

    /// Starts to fetch for a lane, under this fetch number.
    pub(super) fn start_fetch(&self, lane: Arc<Lane>, fetch: u64, offset: i64, leader_epoch: i32) {
        self.order(RouterOrder::Start { lane, fetch, offset, leader_epoch });
    }

    /// Stops fetching for a lane; what is on its way is dropped by its fetch number.
    pub(super) fn stop_fetch(&self, lane: &Arc<Lane>) {
        self.order(RouterOrder::Stop(lane.id.clone()));
    }

    /// Ends all loops.
    pub(super) async fn end(&self) {
        self.order(RouterOrder::End);
        let router = self.router.lock().take();
        if let Some(router) = router {
            // A panic of it was told when it happened.
            let _ = router.await;
        }
    }

    fn order(&self, order: RouterOrder) {
        // Without a router the session has ended, and its lanes were told.
        let _ = self.orders.send(order);
    }
}

impl Drop for Source {
    /// The router takes its loops with it.
    fn drop(&mut self) {
        if let Some(router) = self.router.lock().take() {
            router.abort();
        }
    }
}
