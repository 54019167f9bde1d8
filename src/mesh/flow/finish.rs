//! How a flow ends: drained, out of time, or given up to somebody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{ActorRef, RpcReplyPort};
use tracing::{info, warn};

use super::actor::{FlowMsg, FlowRun, Phase};
use crate::engine::Session;
use crate::mesh::shared::{PartitionMsg, StoreMsg};
use crate::model::status::FlowState;

impl FlowRun {
    /// Stops for good, without saving: the flow is somebody else's, or must not run.
    pub(super) fn give_up(&mut self, state: FlowState, reason: String) {
        if matches!(self.phase, Phase::Given | Phase::Draining | Phase::Closing) {
            return;
        }
        warn!(flow = %self.flow.spec.name, reason, "flow stopped");
        self.phase = Phase::Given;
        for actor in self.children.alive() {
            actor.stop(None);
        }
        for helper in self.helpers.drain(..) {
            helper.stop(None);
        }
        self.flow.board.jobs().clear();
        self.flow.board.set_state(state, Some(reason));
        if let Some(session) = self.flow.session.send_replace(None) {
            let limit = self.flow.mesh.spec.shutdown_timeout;
            tokio::spawn(async move { session.shutdown(limit).await });
        }
    }

    pub(super) fn drain(&mut self, myself: &ActorRef<FlowMsg>, limit: Duration, reply: RpcReplyPort<usize>) {
        self.drained = Some(reply);
        self.drain_until = Some(Instant::now() + limit);
        for helper in self.helpers.drain(..) {
            // The heartbeat in hand may be lost; there is one a second.
            helper.stop(None);
        }
        self.flow.board.jobs().clear();
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.flow.board.set_state(FlowState::Draining, None);
            let waiting =
                self.children.alive().inspect(|actor| drop(actor.cast(PartitionMsg::Drain))).count();
            info!(flow = %self.flow.spec.name, partitions = waiting, "draining");
            if waiting > 0 {
                // Closing the session and the store takes the rest of the time.
                myself.send_after(limit.mul_f64(0.75), || FlowMsg::DrainDeadline);
                return;
            }
        }
        self.close(myself);
    }

    /// Closes session and store, in this order: what the session still acknowledges is not saved, but found.
    pub(super) fn close(&mut self, myself: &ActorRef<FlowMsg>) {
        if self.phase == Phase::Closing {
            return;
        }
        self.phase = Phase::Closing;
        let until = self.drain_until.unwrap_or_else(Instant::now);
        let session: Option<Arc<dyn Session>> = self.flow.session.send_replace(None);
        let store = self.flow.store.lock().take();
        let myself = myself.clone();
        tokio::spawn(async move {
            if let Some(session) = session {
                session.shutdown(until.saturating_duration_since(Instant::now())).await;
            }
            if let Some(store) = store {
                let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
                let _ = ractor::call_t!(store, StoreMsg::Drain, left.as_millis() as u64);
            }
            let _ = myself.cast(FlowMsg::Closed);
        });
    }
}
