//! The actors of a flow's partitions.

use std::collections::HashMap;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef};

use super::actor::{FlowMsg, FlowRun};
use crate::mesh::partition::{PartitionActor, PartitionArguments};
use crate::mesh::shared::PartitionMsg;
use crate::model::TopicPartition;
use crate::replicator::flow::{FlowInput, PartitionStart, Told};

/// Who lives, by partition and by actor.
#[derive(Default)]
pub(super) struct PartitionActors {
    actors: HashMap<TopicPartition, ActorRef<PartitionMsg>>,
    sources: HashMap<ActorId, TopicPartition>,
}

impl PartitionActors {
    /// Forgets an actor that ended; returns whose it was.
    pub(super) fn ended(&mut self, actor: ActorId) -> Option<TopicPartition> {
        let source = self.sources.remove(&actor)?;
        self.actors.remove(&source);
        Some(source)
    }

    /// Tells a partition; one that ends just now needs no news.
    pub(super) fn tell(&self, source: &TopicPartition, told: Told) {
        let message = match told {
            Told::SourceMoved => PartitionMsg::SourceMoved,
            Told::TargetMoved => PartitionMsg::TargetMoved,
            Told::End { end, leader_epoch } => PartitionMsg::End { end, leader_epoch },
            Told::Pause => PartitionMsg::Pause,
            Told::Resume => PartitionMsg::Resume,
            Told::Drain => PartitionMsg::Drain,
        };
        if let Some(actor) = self.actors.get(source) {
            let _ = actor.cast(message);
        }
    }

    /// Stops a partition where it stands.
    pub(super) fn kill(&self, source: &TopicPartition) {
        if let Some(actor) = self.actors.get(source) {
            actor.stop(None);
        }
    }
}

impl FlowRun {
    /// Starts a partition's actor.
    pub(super) async fn start_partition(
        &mut self,
        myself: &ActorRef<FlowMsg>,
        start: PartitionStart,
    ) -> Result<(), ActorProcessingErr> {
        let PartitionStart { source, target, appeared, generation } = start;
        let (told, whose) = (myself.clone(), source.clone());
        let args = PartitionArguments {
            flow: self.flow.clone(),
            source: source.clone(),
            target,
            appeared,
            heartbeats: self.selector.naming().is_heartbeats(source.topic.as_str()),
            generation,
            reached: self.flow.generations.of(&source),
            on_fault: Box::new(move |kind| {
                let source = whose.clone();
                let input = match kind {
                    Some(kind) => FlowInput::PartitionFaulted { source, kind },
                    None => FlowInput::PartitionRecovered(source),
                };
                // A flow that has ended needs no news.
                let _ = told.cast(FlowMsg::Happened(input));
            }),
            metrics: self.flow.metrics.partition(&source.topic, source.partition),
        };
        self.flow.board.add(&source);
        let (actor, _) = PartitionActor::spawn_linked(None, PartitionActor, args, myself.get_cell()).await?;
        self.partitions.sources.insert(actor.get_id(), source.clone());
        self.partitions.actors.insert(source, actor);
        Ok(())
    }
}
