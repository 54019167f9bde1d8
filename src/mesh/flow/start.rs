//! How a flow comes to run: both clusters there, the flow claimed, positions read.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::{error, info, warn};

use super::actor::{FlowMsg, FlowRun, Phase};
use crate::formats::{Scope, offsets_topic};
use crate::mesh::jobs::groups::GroupRounds;
use crate::mesh::jobs::{Heartbeats, MapTrim, OffsetSyncs, TopicConfigs, job};
use crate::mesh::position_store::PositionStoreActor;
use crate::mesh::shared::FlowContext;
use crate::model::Event;
use crate::model::status::{ClusterState, FlowState};
use crate::store::{LoadError, Loaded, LoadedOffsets, OffsetsTopic};
use crate::topology::topic_config::ConfigRules;
use crate::topology::{GroupSelector, OffsetSyncsOn};

/// What a flow finds on its target when it starts.
pub struct Stored {
    positions: Loaded,
    offsets: LoadedOffsets,
}

/// Claims the flow, and reads what was stored of it.
async fn claim(flow: &FlowContext) -> Result<Stored, LoadError> {
    let positions =
        flow.positions_topic.claim(&Scope::Flow(flow.spec.name.clone()), &flow.mesh.process).await?;
    flow.offsets_topic.create().await?;
    let offsets = OffsetsTopic::load(flow.target.wire(), &flow.spec.from, &flow.spec.name).await?;
    info!(flow = %flow.spec.name, maps = offsets.maps.len(), groups = offsets.groups.len(), "offset maps read");
    flow.offsets_topic.remove_damaged(&offsets).await?;
    Ok(Stored { positions, offsets })
}

impl FlowRun {
    pub(super) fn try_claim(&mut self, myself: &ActorRef<FlowMsg>) {
        for cluster in [&self.flow.source, &self.flow.target] {
            let view = cluster.watch().borrow().clone();
            if view.state != ClusterState::Reachable {
                let why = view.reason.unwrap_or_else(|| "no answer yet".to_owned());
                let reason = format!("waits for cluster {}: {why}", cluster.alias());
                // Until a cluster has answered once, nobody knows whether the flow can run at all.
                let state = match view.state {
                    ClusterState::Connecting => FlowState::Starting,
                    _ => FlowState::Waiting,
                };
                self.flow.board.set_state(state, Some(reason));
                return;
            }
        }
        let id =
            |cluster: &crate::cluster::ClusterHandle| cluster.catalogue().and_then(|c| c.cluster_id.clone());
        if let (Some(source), Some(target)) = (id(&self.flow.source), id(&self.flow.target))
            && source == target
        {
            let reason = format!(
                "{} and {} are one cluster (id {source}); mirroring it into itself would never end",
                self.flow.spec.from, self.flow.spec.to
            );
            error!(flow = %self.flow.spec.name, reason, "flow refused");
            self.flow.board.set_state(FlowState::Faulted, Some(reason));
            self.phase = Phase::Given;
            return;
        }
        self.phase = Phase::Claiming;
        self.flow.board.set_state(FlowState::Starting, Some("reads its positions".to_owned()));
        let (flow, myself) = (self.flow.clone(), myself.clone());
        tokio::spawn(async move {
            let outcome = claim(&flow).await;
            let _ = myself.cast(FlowMsg::Claimed(Box::new(outcome)));
        });
    }

    pub(super) async fn claimed(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        outcome: Result<Stored, LoadError>,
    ) -> Result<(), ActorProcessingErr> {
        if self.phase != Phase::Claiming {
            return Ok(());
        }
        let Stored { positions, offsets } = match outcome {
            Ok(stored) => stored,
            Err(why) => {
                let (state, reason) = match why {
                    LoadError::Fault(fault) => (FlowState::Faulted, fault.to_string()),
                    LoadError::Wire(error) if error.is_unauthorized() => {
                        (FlowState::Faulted, error.to_string())
                    }
                    LoadError::Wire(error) => (FlowState::Waiting, error.to_string()),
                };
                let retry_in = self.claim_backoff.next_pause();
                warn!(flow = %self.flow.spec.name, reason, ?retry_in, "positions not read");
                self.flow.board.set_state(state, Some(reason));
                self.phase = Phase::Waiting;
                myself.send_after(retry_in, || FlowMsg::Claim);
                return Ok(());
            }
        };
        self.claim_backoff.reset();
        self.flow.book.replace(positions.positions);
        if offsets.unreadable > 0 {
            self.flow.report(&Event::InternalRecordsDamaged {
                cluster: self.flow.target.alias().clone(),
                topic: offsets_topic(&self.flow.spec.from),
                records: offsets.unreadable,
            });
        }
        for (source, damaged) in &offsets.damaged {
            let reason = damaged.error.to_string();
            self.flow.report_partition(source, &Event::OffsetMapDamaged { reason });
        }
        self.flow.maps.replace(offsets.maps);
        *self.flow.group_syncs.lock() = offsets.groups;
        let told = myself.clone();
        let store = PositionStoreActor {
            context: self.flow.clone(),
            scope: Scope::Flow(self.flow.spec.name.clone()),
            token: positions.token,
            overwritten: positions.overwritten,
            on_other_claim: Box::new(move |claim| drop(told.cast(FlowMsg::OtherClaim(claim)))),
        };
        let (store, _) = PositionStoreActor::spawn_linked(None, store, (), myself.get_cell()).await?;
        self.store = Some(store.get_id());
        *self.flow.store.lock() = Some(store);
        self.phase = Phase::Running;
        self.flow.board.set_state(FlowState::Running, None);
        self.spawn_helpers(myself).await?;
        self.start_session(myself);
        self.reconcile(myself);
        Ok(())
    }

    /// Starts what the flow does again and again, in place of what is there of it.
    pub(super) async fn spawn_helpers(
        &mut self,
        myself: &ActorRef<FlowMsg>,
    ) -> Result<(), ActorProcessingErr> {
        for helper in self.helpers.drain(..) {
            helper.stop(None);
        }
        if self.phase != Phase::Running {
            return Ok(());
        }
        let (flow, selector, cell) = (&self.flow, &self.selector, || myself.get_cell());
        let board = || flow.board.jobs().clone();
        self.helpers.push(job::start(MapTrim { flow: flow.clone() }, board(), cell()).await?);
        if flow.spec.offset_syncs != OffsetSyncsOn::Off {
            self.helpers.push(job::start(OffsetSyncs::new(flow.clone()), board(), cell()).await?);
        }
        if flow.spec.heartbeats.enabled {
            self.helpers.push(job::start(Heartbeats::new(flow.clone()), board(), cell()).await?);
        }
        if flow.spec.groups.enabled {
            let groups = GroupSelector::new(&flow.spec.groups)?;
            let rounds = GroupRounds::new(flow.clone(), selector.clone(), groups);
            self.helpers.push(job::start(rounds, board(), cell()).await?);
        }
        if flow.spec.topic_configs.enabled {
            let rules = ConfigRules::new(&flow.spec.topic_configs)?;
            let configs = TopicConfigs::new(flow.clone(), selector.clone(), rules);
            self.helpers.push(job::start(configs, board(), cell()).await?);
        }
        Ok(())
    }

    /// A cluster that went away is shown on the flow; its partitions wait by themselves.
    pub(super) fn show_clusters(&self) {
        for cluster in [&self.flow.source, &self.flow.target] {
            let view = cluster.watch().borrow().clone();
            if view.state != ClusterState::Reachable {
                let why = view.reason.unwrap_or_default();
                let reason = format!("cluster {} is away: {why}", cluster.alias());
                return self.flow.board.set_state(FlowState::Waiting, Some(reason));
            }
        }
        if self.flow.board.state() == FlowState::Waiting {
            self.flow.board.set_state(FlowState::Running, None);
        }
    }
}
