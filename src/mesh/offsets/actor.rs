//! Looks after a flow's offset maps: trims what the source no longer has, writes MirrorMaker 2's offset syncs.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;
use tracing::debug;

use super::syncs::OffsetSyncs;
use crate::mesh::flow::{FlowContext, StoreMsg};
use crate::model::{Event, TopicPartition};
use crate::topology::OffsetSyncsOn;
use crate::wire::{OffsetSpec, WireError};

/// Retention goes by segments, so minutes are soon enough.
const TRIM_INTERVAL: Duration = Duration::from_secs(300);
/// After a refusal: rights change by hand, so a minute is soon enough.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// What the keeper of maps is told.
pub enum OffsetMapMsg {
    /// Time to trim.
    Trim,
    /// The maps were trimmed, or not.
    Trimmed,
    /// Time to write offset syncs.
    Sync,
    /// They were written, or not.
    Synced(Box<OffsetSyncs>, Result<(), WireError>),
}

/// Looks after the offset maps of one flow.
pub struct OffsetMapActor {
    /// The flow.
    pub flow: Arc<FlowContext>,
}

/// State of the keeper.
#[derive(Default)]
pub struct OffsetMapState {
    trimming: Option<JoinHandle<()>>,
    syncing: Option<JoinHandle<()>>,
    /// What was written last; away while the next is being written.
    syncs: Option<Box<OffsetSyncs>>,
    refused: bool,
}

impl Actor for OffsetMapActor {
    type Msg = OffsetMapMsg;
    type State = OffsetMapState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.cast(OffsetMapMsg::Trim)?;
        if self.flow.spec.offset_syncs != OffsetSyncsOn::Off {
            myself.send_after(self.flow.spec.groups.interval, || OffsetMapMsg::Sync);
        }
        Ok(OffsetMapState { syncs: Some(Box::default()), ..OffsetMapState::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            OffsetMapMsg::Trim => {
                let (flow, told) = (self.flow.clone(), myself.clone());
                state.trimming = Some(tokio::spawn(async move {
                    trim(&flow).await;
                    let _ = told.cast(OffsetMapMsg::Trimmed);
                }));
            }
            OffsetMapMsg::Trimmed => drop(myself.send_after(TRIM_INTERVAL, || OffsetMapMsg::Trim)),
            OffsetMapMsg::Sync => {
                let Some(mut syncs) = state.syncs.take() else { return Ok(()) };
                let (flow, told) = (self.flow.clone(), myself.clone());
                state.syncing = Some(tokio::spawn(async move {
                    let outcome = syncs.write(&flow).await;
                    let _ = told.cast(OffsetMapMsg::Synced(syncs, outcome));
                }));
            }
            OffsetMapMsg::Synced(syncs, outcome) => {
                state.syncs = Some(syncs);
                let pause = self.note(state, outcome);
                myself.send_after(pause, || OffsetMapMsg::Sync);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.trimming.iter().chain(&state.syncing).for_each(JoinHandle::abort);
        Ok(())
    }
}

impl OffsetMapActor {
    /// Says a refusal once, and returns the pause until the next syncs.
    fn note(&self, state: &mut OffsetMapState, outcome: Result<(), WireError>) -> Duration {
        let interval = self.flow.spec.groups.interval;
        match outcome {
            Ok(()) => {
                state.refused = false;
                interval
            }
            Err(error) if error.is_unauthorized() => {
                if !std::mem::replace(&mut state.refused, true) {
                    let cluster = error.cluster().clone();
                    self.flow.report(&Event::OffsetSyncsRefused { cluster, reason: error.to_string() });
                }
                AFTER_REFUSAL
            }
            Err(error) => {
                // A cluster that is away is told by its own state.
                debug!(flow = %self.flow.spec.name, %error, "offset syncs not written");
                interval
            }
        }
    }
}

/// Drops what lies below the source's log starts from maps that are large enough to have something to drop.
async fn trim(flow: &FlowContext) {
    let large = flow.maps.iter().filter(|(_, map)| map.lock().oldest_end().is_some());
    let looks = large.map(|(source, map)| async move {
        let isolation = flow.spec.isolation;
        // A partition whose start can't be had is trimmed next time.
        let start = flow.source.offset(&source, OffsetSpec::Earliest, isolation).await.ok()?;
        let mut map = map.lock();
        let trims = map.oldest_end().is_some_and(|end| end <= start.offset);
        map.trim(start.offset);
        trims.then_some(source)
    });
    let looked = futures::future::join_all(looks).await;
    let trimmed: Vec<TopicPartition> = looked.into_iter().flatten().collect();
    if let Some(store) = flow.store.lock().as_ref()
        && !trimmed.is_empty()
    {
        debug!(flow = %flow.spec.name, partitions = trimmed.len(), "offset maps trimmed");
        // A store that ended takes the flow down with it.
        let _ = store.cast(StoreMsg::SaveMaps(trimmed));
    }
}
