//! Keeps a cluster's catalogue and the ends of its observed partitions fresh.

use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinError;
use tracing::{info, warn};

use crate::cluster::{ClusterHandle, monitor_heartbeats};
use crate::mesh::shared::Tasks;
use crate::model::status::ClusterState;

/// What a cluster's actor is told.
#[derive(Debug)]
pub(super) enum ClusterMsg {
    /// Time to look again.
    Look,
    /// A look is over that began then.
    Looked(Instant),
    /// A look or the reader of heartbeats panicked.
    Panicked(JoinError),
}

/// One cluster.
pub(super) struct ClusterActor {
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
pub(super) struct ClusterActorState {
    tasks: Tasks,
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
        let mut tasks = Tasks::default();
        let monitor = monitor_heartbeats(self.handle.clone(), self.separators.clone(), self.heartbeat_memory);
        // An actor that has stopped meanwhile needs no news, here and below.
        tasks.spawn(monitor, move |ended| {
            let Err(panicked) = ended;
            let _ = myself.cast(ClusterMsg::Panicked(panicked));
        });
        Ok(ClusterActorState { tasks, shown: None })
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
                let (handle, began) = (self.handle.clone(), Instant::now());
                let look = async move {
                    if handle.refresh().await.is_ok() {
                        // What can't be had now is asked for again at the next look; lag is shown as unknown.
                        let _ = handle.refresh_ends().await;
                    }
                };
                state.tasks.spawn(look, move |ended| {
                    let told = ended.map_or_else(ClusterMsg::Panicked, |()| ClusterMsg::Looked(began));
                    let _ = myself.cast(told);
                });
            }
            ClusterMsg::Looked(began) => {
                self.show(state);
                myself.send_after(self.interval.saturating_sub(began.elapsed()), || ClusterMsg::Look);
            }
            ClusterMsg::Panicked(panicked) => return Err(panicked.into()),
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.tasks = Tasks::default();
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
                info!(target: crate::mesh::LOG, %cluster, cluster_id = status.cluster_id, brokers, "cluster reachable");
            }
            _ => warn!(target: crate::mesh::LOG, %cluster, reason = status.reason, "cluster not reachable"),
        }
    }
}
