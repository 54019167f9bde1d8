//! One writer of positions per flow: collects what partitions save, writes it in few requests, drained last.

use std::collections::HashMap;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::context::FlowContext;
use crate::formats::{Claim, Position};
use crate::mesh::partition::PartitionMsg;
use crate::model::{Event, Fault, FaultKind, TopicPartition};
use crate::wire::WireError;

/// Positions in one request: about 500 bytes each, so well within a broker's default of 1 MiB.
const POSITIONS_PER_WRITE: usize = 1_000;

/// What the store is told.
pub enum StoreMsg {
    /// Save a position; the partition is told when it is durable.
    Save(Box<Save>),
    /// A write is over.
    Written(Vec<TopicPartition>, Result<(), WireError>),
    /// Another process claimed the flow.
    OtherClaim(Claim),
    /// Write what is left, release the claim, answer, stop.
    Drain(RpcReplyPort<()>),
}

/// A position to be saved.
pub struct Save {
    /// Whose.
    pub partition: TopicPartition,
    /// The position.
    pub position: Position,
    /// Told when it is durable.
    pub reply: ActorRef<PartitionMsg>,
}

/// The one writer of a flow's positions.
pub struct PositionStoreActor {
    /// The flow.
    pub context: Arc<FlowContext>,
    /// Offset of our claim.
    pub claimed_at: i64,
    /// Told when another process claims the flow.
    pub on_other_claim: Box<dyn Fn(Claim) + Send + Sync>,
}

/// State of the store.
pub struct StoreState {
    pending: HashMap<TopicPartition, Save>,
    writing: HashMap<TopicPartition, Save>,
    /// Set when another process owns the flow: nothing is written any more.
    lost: bool,
    drain: Option<RpcReplyPort<()>>,
    tail: JoinHandle<()>,
}

impl Actor for PositionStoreActor {
    type Msg = StoreMsg;
    type State = StoreState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        let topic = self.context.positions_topic.clone();
        let process = self.context.mesh.process.clone();
        let claimed_at = self.claimed_at;
        let tail = tokio::spawn(async move {
            let claim = topic.other_claim(&process, claimed_at).await;
            let _ = myself.cast(StoreMsg::OtherClaim(claim));
        });
        Ok(StoreState { pending: HashMap::new(), writing: HashMap::new(), lost: false, drain: None, tail })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StoreMsg::Save(save) => {
                // The newest of a partition covers those before it.
                state.pending.insert(save.partition.clone(), *save);
                self.write(&myself, state);
            }
            StoreMsg::Written(partitions, outcome) => self.written(&myself, state, partitions, outcome),
            StoreMsg::OtherClaim(claim) => {
                state.lost = true;
                let by = format!("process {} (pid {} on {})", claim.process, claim.pid, claim.host);
                self.context.report(&Event::ClaimLost { by });
                (self.on_other_claim)(claim);
            }
            StoreMsg::Drain(reply) => state.drain = Some(reply),
        }
        if state.drain.is_some() && (state.lost || (state.pending.is_empty() && state.writing.is_empty())) {
            self.finish(state).await;
            myself.stop(None);
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.tail.abort();
        Ok(())
    }
}

impl PositionStoreActor {
    fn write(&self, myself: &ActorRef<StoreMsg>, state: &mut StoreState) {
        if state.lost || !state.writing.is_empty() || state.pending.is_empty() {
            return;
        }
        let chosen: Vec<_> = state.pending.keys().take(POSITIONS_PER_WRITE).cloned().collect();
        let topic = self.context.positions_topic.clone();
        let mut records = Vec::with_capacity(chosen.len());
        for partition in &chosen {
            if let Some(save) = state.pending.remove(partition) {
                records.push(topic.position_record(partition, &save.position));
                state.writing.insert(partition.clone(), save);
            }
        }
        let myself = myself.clone();
        tokio::spawn(async move {
            let outcome = topic.append(records).await.map(drop);
            let _ = myself.cast(StoreMsg::Written(chosen, outcome));
        });
    }

    fn written(
        &self,
        myself: &ActorRef<StoreMsg>,
        state: &mut StoreState,
        partitions: Vec<TopicPartition>,
        outcome: Result<(), WireError>,
    ) {
        match outcome {
            Ok(()) => {
                self.context.positions_saved(partitions.len());
                for save in partitions.iter().filter_map(|partition| state.writing.remove(partition)) {
                    self.context.book.insert(save.partition, save.position);
                    // A partition that stopped meanwhile needs no answer.
                    let _ = save.reply.cast(PartitionMsg::Saved);
                }
            }
            Err(error) => {
                warn!(flow = %self.context.spec.name, positions = partitions.len(), %error, "positions not written");
                let advice = if error.is_unauthorized() {
                    "it is tried again; the flow's credentials need READ, WRITE and CREATE on the positions topic"
                } else {
                    "it is tried again"
                };
                let what = format!("the position can't be saved: {error}");
                let fault = Fault::new(FaultKind::PositionStore, what, advice);
                // Each partition asks again by its own back-off, with what is newest then.
                for save in partitions.iter().filter_map(|partition| state.writing.remove(partition)) {
                    let _ = save.reply.cast(PartitionMsg::NotSaved(fault.clone()));
                }
            }
        }
        self.write(myself, state);
    }

    async fn finish(&self, state: &mut StoreState) {
        if !state.lost
            && let Err(error) = self.context.positions_topic.release(&self.context.mesh.process).await
        {
            info!(flow = %self.context.spec.name, %error, "claim not released; the next process waits a moment longer");
        }
        if let Some(reply) = state.drain.take() {
            let _ = reply.send(());
        }
    }
}
