//! One writer of positions and offset maps per flow: collects what partitions save, writes it in few requests,
//! drained last.
//!
//! What changed in a map is taken when its position is written, and written first: the map may be ahead of the
//! position then, never behind it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tracing::{info, warn};

use super::shared::{FlowContext, PartitionMsg, Save, StoreMsg, Tasks};
use crate::formats::{Claim, ClaimScope, Position, Token};
use crate::model::{Event, Fault, FaultKind, TopicPartition};
use crate::store::PositionBook;
use crate::wire::{NewRecord, WireError};

/// Positions in one request, after the maps that go with them: about 500 bytes each, so well within a broker's
/// default of 1 MiB.
const POSITIONS_PER_WRITE: usize = 1_000;
/// After a write failed that no partition waits for: those that one waits for come again by its back-off.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// Least time between two reports of what one map gave up: with many gaps that would be one with every save.
const SHED_PAUSE: Duration = Duration::from_secs(60);

/// The one writer of a flow's positions.
pub(super) struct PositionStoreActor {
    /// The flow.
    pub context: Arc<FlowContext>,
    /// What was claimed.
    pub scope: ClaimScope,
    /// The token of the claim.
    pub token: Token,
    /// Positions to be written again: a process that had lost the flow wrote over them.
    pub overwritten: BTreeSet<TopicPartition>,
    /// Told when another process claims the flow.
    pub on_other_claim: Box<dyn Fn(Claim) + Send + Sync>,
}

/// State of the store.
pub(super) struct StoreState {
    pending: HashMap<TopicPartition, Save>,
    pending_maps: BTreeSet<TopicPartition>,
    /// Saved positions that a process without a claim wrote over: to be written again.
    overwritten: BTreeSet<TopicPartition>,
    /// What is being written: partitions whose map is, and whose position is.
    writing: Option<Writing>,
    /// What maps gave up and nobody was told yet, and when somebody was told last.
    shed: HashMap<TopicPartition, (u64, Option<Instant>)>,
    /// Set when another process owns the flow: nothing is written any more.
    lost: bool,
    drain: Option<RpcReplyPort<()>>,
    /// The write under way, and the reader of the tail.
    tasks: Tasks,
}

/// What is being written.
struct Writing {
    maps: Vec<TopicPartition>,
    saves: Vec<Save>,
    again: Vec<(TopicPartition, Position)>,
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
        let (scope, token, told) = (self.scope.clone(), self.token, myself.clone());
        // An actor that has stopped meanwhile needs no news, here and below.
        let context = self.context.clone();
        let overwritten = move |partition: TopicPartition, position| {
            // Who wrote it may have begun with the partition before it knew: it is the first then, and all that tells.
            context.book.insert_first(partition.clone(), position);
            let _ = told.cast(StoreMsg::Overwritten(partition));
        };
        for partition in &self.overwritten {
            myself.cast(StoreMsg::Overwritten(partition.clone()))?;
        }
        let mut tasks = Tasks::default();
        let tail = async move { topic.other_claim(&scope, &process, token, overwritten).await };
        tasks.spawn(tail, move |ended| {
            let _ = myself.cast(ended.map_or_else(StoreMsg::Panicked, StoreMsg::OtherClaim));
        });
        Ok(StoreState {
            pending: HashMap::new(),
            pending_maps: BTreeSet::new(),
            overwritten: BTreeSet::new(),
            writing: None,
            shed: HashMap::new(),
            lost: false,
            drain: None,
            tasks,
        })
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
            StoreMsg::SaveMaps(partitions) => {
                state.pending_maps.extend(partitions);
                self.write(&myself, state);
            }
            StoreMsg::Overwritten(partition) => {
                state.overwritten.insert(partition);
                self.write(&myself, state);
            }
            StoreMsg::Written(outcome) => self.written(&myself, state, outcome),
            StoreMsg::OtherClaim(claim) => {
                state.lost = true;
                let by = format!("process {} (pid {} on {})", claim.process, claim.pid, claim.host);
                self.context.report(&Event::ClaimLost { by });
                (self.on_other_claim)(claim);
            }
            StoreMsg::Drain(reply) => state.drain = Some(reply),
            // What was being written is found by the next life of the flow.
            StoreMsg::Panicked(panicked) => return Err(panicked.into()),
        }
        if state.drain.is_some() && (state.lost || state.is_idle()) {
            self.finish(state).await;
            myself.stop(None);
        }
        Ok(())
    }
}

impl StoreState {
    fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.pending_maps.is_empty()
            && self.overwritten.is_empty()
            && self.writing.is_none()
    }

    /// What goes with the next write; `book` has the positions that are to be written again.
    fn choose(&mut self, book: &PositionBook) -> Writing {
        let chosen: Vec<_> = self.pending.keys().take(POSITIONS_PER_WRITE).cloned().collect();
        let saves: Vec<_> = chosen.iter().filter_map(|partition| self.pending.remove(partition)).collect();
        let mut maps: BTreeSet<_> = chosen.into_iter().collect();
        while maps.len() < POSITIONS_PER_WRITE
            && let Some(partition) = self.pending_maps.pop_first()
        {
            maps.insert(partition);
        }
        let overwritten = std::mem::take(&mut self.overwritten).into_iter();
        let again = overwritten
            .filter(|partition| saves.iter().all(|save| save.partition != *partition))
            .filter_map(|partition| Some((partition.clone(), book.get(&partition)?)));
        Writing { maps: maps.into_iter().collect(), again: again.collect(), saves }
    }
}

impl PositionStoreActor {
    fn write(&self, myself: &ActorRef<StoreMsg>, state: &mut StoreState) {
        if state.lost || state.writing.is_some() || state.is_idle() {
            return;
        }
        let writing = state.choose(&self.context.book);
        let offsets = self.context.offsets_topic.clone();
        let maps = self.changed(state, &writing.maps);
        let saves = writing.saves.iter().map(|save| (&save.partition, &save.position));
        let again = writing.again.iter().map(|(partition, position)| (partition, position));
        let positions = self.context.positions_topic.write(self.token, saves.chain(again));
        state.writing = Some(writing);
        let myself = myself.clone();
        let write = async move {
            offsets.append(maps).await?;
            positions.await
        };
        state.tasks.spawn(write, move |ended| {
            let _ = myself.cast(ended.map_or_else(StoreMsg::Panicked, StoreMsg::Written));
        });
    }

    /// What changed in these maps since they were saved, as records; tells what they gave up, now and then.
    fn changed(&self, state: &mut StoreState, partitions: &[TopicPartition]) -> Vec<NewRecord> {
        let mut records = Vec::new();
        for partition in partitions {
            let Some(map) = self.context.maps.get(partition) else { continue };
            let (changes, intervals) = {
                let mut map = map.lock();
                (map.take_changes(), map.take_shed())
            };
            records.extend(self.context.offsets_topic.map_records(partition, changes));
            if intervals > 0 {
                self.context.metrics.offset_gaps_shed(intervals);
                let (untold, told) = state.shed.entry(partition.clone()).or_default();
                *untold += intervals;
                if told.is_none_or(|told| told.elapsed() >= SHED_PAUSE) {
                    let intervals = std::mem::take(untold);
                    *told = Some(Instant::now());
                    self.context.report_partition(partition, &Event::OffsetMapShed { intervals });
                }
            }
        }
        records
    }

    fn written(&self, myself: &ActorRef<StoreMsg>, state: &mut StoreState, outcome: Result<(), WireError>) {
        let Some(writing) = state.writing.take() else { return };
        let maps = writing.maps.iter().filter_map(|partition| self.context.maps.get(partition));
        match outcome {
            Ok(()) => {
                maps.for_each(|map| map.lock().changes_saved());
                self.context.positions_saved(writing.saves.len());
                for save in writing.saves {
                    self.context.book.insert(save.partition, save.position);
                    // A partition that stopped meanwhile needs no answer.
                    let _ = save.reply.cast(PartitionMsg::Saved);
                }
            }
            Err(error) => {
                maps.for_each(|map| map.lock().changes_failed());
                for (partition, _) in writing.again {
                    myself.send_after(WRITE_AGAIN, || StoreMsg::Overwritten(partition));
                }
                warn!(
                    target: crate::mesh::LOG,
                    flow = %self.context.spec.name, positions = writing.saves.len(), maps = writing.maps.len(), %error,
                    "positions and offset maps not written"
                );
                let advice = if error.is_unauthorized() {
                    "it is tried again; the flow's credentials need READ, WRITE and CREATE on the positions topic and \
                     the offsets topic"
                } else {
                    "it is tried again"
                };
                let what = format!("the position can't be saved: {error}");
                let fault = Fault::new(FaultKind::PositionStore, what, advice);
                // Each partition asks again by its own back-off, with what is newest then.
                for save in writing.saves {
                    let _ = save.reply.cast(PartitionMsg::NotSaved(fault.clone()));
                }
            }
        }
        self.write(myself, state);
    }

    async fn finish(&self, state: &mut StoreState) {
        if !state.lost
            && let Err(error) =
                self.context.positions_topic.release(&self.scope, &self.context.mesh.process).await
        {
            info!(target: crate::mesh::LOG, flow = %self.context.spec.name, %error, "claim not released; the next process waits a moment longer");
        }
        if let Some(reply) = state.drain.take() {
            let _ = reply.send(());
        }
    }
}
