//! Reads batches: one loop per source broker and connection, with an incremental fetch session (KIP-227).

mod fetch_session;
mod response;

use std::sync::Arc;

use super::Shared;
use super::lane::Lane;
use crate::engine::budget::Account;
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
}

/// The source side of a session.
pub(super) struct Source {}

impl Source {
    /// Starts it; connections are made when a lane fetches.
    pub(super) fn start(_spec: SourceSpec, _shared: Arc<Shared>) -> Self {
        Self {}
    }

    /// Starts to fetch for a lane, under this fetch number.
    pub(super) fn start_fetch(&self, _lane: Arc<Lane>, _fetch: u64, _offset: i64, _leader_epoch: i32) {}

    /// Stops fetching for a lane; what is on its way is dropped by its fetch number.
    pub(super) fn stop_fetch(&self, _lane: &Arc<Lane>) {}

    /// Ends all loops.
    pub(super) async fn end(&self) {}
}
