//! Claiming a flow, and reading what was stored of it.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::info;

use super::actor::{FlowMsg, FlowRun};
use crate::formats::{ClaimScope, Token, offsets_topic};
use crate::mesh::position_store::PositionStoreActor;
use crate::mesh::shared::FlowContext;
use crate::model::Event;
use crate::replicator::flow::FlowInput;
use crate::store::{ClaimedPositions, LoadError, LoadedOffsets, OffsetsTopic};

/// What a flow finds on its target when it starts.
pub(crate) struct Stored {
    positions: ClaimedPositions,
    offsets: LoadedOffsets,
}

impl Stored {
    /// The claim under which it was read.
    pub(crate) fn token(&self) -> Token {
        self.positions.token
    }
}

/// Claims the flow, and reads what was stored of it.
pub(super) async fn claim(flow: &FlowContext) -> Result<Stored, LoadError> {
    let positions =
        flow.positions_topic.claim(&ClaimScope::Flow(flow.spec.name.clone()), &flow.mesh.process).await?;
    flow.offsets_topic.create().await?;
    let offsets = OffsetsTopic::load(flow.target.wire(), &flow.spec.from, &flow.spec.name).await?;
    info!(target: crate::mesh::LOG, flow = %flow.spec.name, maps = offsets.maps.len(), groups = offsets.groups.len(), "offset maps read");
    flow.offsets_topic.remove_damaged(&offsets).await?;
    Ok(Stored { positions, offsets })
}

/// What a claim that failed means.
pub(super) fn failed(attempt: u64, why: LoadError) -> FlowInput {
    let (needs_person, reason) = match why {
        LoadError::Fault(fault) => (true, fault.to_string()),
        LoadError::Wire(error) => (error.is_unauthorized(), error.to_string()),
    };
    FlowInput::ClaimFailed { attempt, needs_person, reason }
}

impl FlowRun {
    /// Takes over what was read, and starts the position store.
    pub(super) async fn start_store(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        token: Token,
    ) -> Result<(), ActorProcessingErr> {
        let Some(Stored { positions, offsets }) = self.stored.take() else { return Ok(()) };
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
            scope: ClaimScope::Flow(self.flow.spec.name.clone()),
            token,
            overwritten: positions.overwritten,
            on_other_claim: Box::new(move |claim| {
                drop(told.cast(FlowMsg::Happened(FlowInput::OtherClaim(claim))));
            }),
        };
        let (store, _) = PositionStoreActor::spawn_linked(None, store, (), myself.get_cell()).await?;
        self.store = Some(store.get_id());
        *self.flow.store.lock() = Some(store);
        Ok(())
    }
}
