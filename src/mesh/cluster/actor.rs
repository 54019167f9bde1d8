//! Keeps a cluster's catalogue and the ends of its observed partitions fresh.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::handle::ClusterHandle;
use super::heartbeats;
use crate::model::status::ClusterState;

/// What a cluster's actor is told.
#[derive(Debug)]
pub enum ClusterMsg {
    /// Time to look again.
    Look,
    /// A look is over.
    Looked,
}

/// One cluster.
pub struct ClusterActor {
    /// What it keeps fresh.
    pub handle: ClusterHandle,
    /// `discovery.interval`.
    pub interval: Duration,
    /// Separators of the flows into the cluster.
    pub separators: Vec<String>,
    /// How old a heartbeat may be before its path is no longer shown.
    pub heartbeat_memory: Duration,
}

/// State of a cluster's actor.
pub struct ClusterActorState {
    looking: Option<JoinHandle<()>>,
    monitor: JoinHandle<()>,
    shown: Option<ClusterState>,
}

impl Actor for ClusterActor {
    type Msg = ClusterMsg;
    type State = ClusterActorState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.cast(ClusterMsg::Look)?;
        let monitor = tokio::spawn(heartbeats::monitor(
            self.handle.clone(),
            self.separators.clone(),
            self.heartbeat_memory,
        ));
        Ok(ClusterActorState { looking: None, monitor, shown: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ClusterMsg::Look => {
                // The look runs beside the mailbox: a cluster that does not answer must not keep us from stopping.
                let handle = self.handle.clone();
                state.looking = Some(tokio::spawn(async move {
                    if handle.refresh().await.is_ok() {
                        // What can't be had now is asked for again at the next look; lag is shown as unknown.
                        let _ = handle.refresh_ends().await;
                    }
                    let _ = myself.cast(ClusterMsg::Looked);
                }));
            }
            ClusterMsg::Looked => {
                self.show(state);
                myself.send_after(self.interval, || ClusterMsg::Look);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(looking) = state.looking.take() {
            looking.abort();
        }
        state.monitor.abort();
        self.handle.wire().close().await;
        Ok(())
    }
}

impl ClusterActor {
    /// One line per change of state, not one per look.
    fn show(&self, state: &mut ClusterActorState) {
        let status = self.handle.status();
        if state.shown == Some(status.state) {
            return;
        }
        state.shown = Some(status.state);
        let (cluster, brokers) = (status.alias, status.brokers);
        match status.state {
            ClusterState::Reachable => {
                info!(%cluster, cluster_id = status.cluster_id, brokers, "cluster reachable");
            }
            _ => warn!(%cluster, reason = status.reason, "cluster not reachable"),
        }
    }
}
