//! Starts sessions: the one place that knows which engines there are and what each of them needs.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::budget::Account;
use super::passthrough::PassthroughSession;
use super::records::{RecordsSession, RefusedTopics};
use super::session_core::OnLost;
use super::{EngineError, Session};
use crate::config::client::ClientSettings;
use crate::model::{Codec, FlowName, Isolation};
use crate::topology::EngineKind;
use crate::wire::Wire;

/// What a session is started with, whichever its engine.
#[derive(Clone)]
pub struct SessionSpec {
    /// The flow.
    pub flow: FlowName,
    /// The cluster that is read.
    pub source: ClusterEnd,
    /// The cluster that is written to.
    pub target: ClusterEnd,
    /// Which records are mirrored.
    pub isolation: Isolation,
    /// How batches are compressed that are built anew.
    pub codec: Codec,
    /// The flow's account with the memory budget.
    pub account: Account,
    /// Lanes that will be open at a time, about.
    pub expected_lanes: usize,
    /// What the flow's earlier sessions found out: the flow keeps one, and gives it to each of its sessions.
    pub remembered: Remembered,
}

/// A cluster at one end of a flow.
#[derive(Clone)]
pub struct ClusterEnd {
    /// How to talk to it.
    pub settings: ClientSettings,
    /// The connection of ours that also reads its metadata.
    pub wire: Wire,
}

/// What a flow's sessions remember for the next one. Clones are the same; only engines know what is in it.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Target topics that refused something.
    pub(super) refused_topics: RefusedTopics,
}

/// Starts a session. Connections are made in the background: a cluster that is away is no error. `on_lost` is called
/// once if the session ends by itself. Call within a tokio runtime.
///
/// # Errors
/// [`EngineError::Settings`] when a client of the engine refuses its settings, or when one of them would break what
/// mirroring depends on.
pub fn start(
    engine: EngineKind,
    spec: SessionSpec,
    on_lost: OnLost,
) -> Result<Arc<dyn Session>, EngineError> {
    match engine {
        EngineKind::Passthrough => Ok(PassthroughSession::start(spec, on_lost)),
        EngineKind::Records => RecordsSession::start(spec, on_lost),
    }
}
