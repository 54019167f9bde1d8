//! What the state machine's outputs come to.

use std::sync::Arc;

use ractor::ActorRef;

use super::actor::{InFlightBatch, PartitionShell, Trace};
use super::resolve::{self, ResolveQuestion};
use crate::cluster::ClusterHandle;
use crate::engine::{LaneSpec, SourceError};
use crate::formats::{Position, ProducerState};
use crate::mesh::shared::{PartitionMsg, Save, StoreMsg, Tasks};
use crate::model::{Fault, FaultKind, Generation, TopicId, TopicPartition};
use crate::replicator::partition::{PartitionInput, PartitionOutput};
use crate::telemetry::MAX_LINKS;
use crate::telemetry::clock;

impl PartitionShell {
    /// Does what the machine says.
    pub(super) fn perform(&mut self, myself: &ActorRef<PartitionMsg>, output: PartitionOutput) {
        let generation = self.machine.generation();
        match output {
            PartitionOutput::OpenLane(generation) => self.open_lane(myself, generation),
            PartitionOutput::Resolve => self.resolve(myself, generation),
            PartitionOutput::Fetch { offset, leader_epoch } => {
                if let Some(session) = &self.session {
                    session.fetch(&self.args.source, generation, offset, leader_epoch);
                }
            }
            PartitionOutput::StopFetch => {
                if let Some(session) = &self.session {
                    session.stop_fetch(&self.args.source, generation);
                }
            }
            PartitionOutput::Write => {
                if let (Some(session), Some(batch)) = (&self.session, self.fetched.take()) {
                    let trace = self.arrived.take().map(|arrived| {
                        let parents = batch.body.trace_parents(MAX_LINKS);
                        Box::new(Trace { arrived, written: clock::now(), parents })
                    });
                    self.in_flight.push_back(InFlightBatch { info: batch.info, trace });
                    session.write(&self.args.source, generation, batch);
                }
            }
            PartitionOutput::Discard => self.fetched = None,
            PartitionOutput::Mirrored { source_next, segments } => {
                if let Some(map) = &self.map {
                    map.lock().acknowledged(&segments, source_next);
                }
            }
            PartitionOutput::SavePosition(position) => self.save(myself, *position),
            PartitionOutput::Report(event) => self.report(&event),
            PartitionOutput::Stopped => self.stop(myself, generation),
        }
    }

    fn open_lane(&mut self, myself: &ActorRef<PartitionMsg>, generation: Generation) {
        self.in_flight.clear();
        self.fetched = None;
        let port = myself.clone();
        let spec = LaneSpec {
            source: self.args.source.clone(),
            target: self.args.target.clone(),
            source_topic_id: topic_id(&self.args.flow.source, &self.args.source),
            target_topic_id: topic_id(&self.args.flow.target, &self.args.target),
            generation,
            // A partition that ended drops what still comes.
            port: Arc::new(move |generation, event| drop(port.cast(PartitionMsg::Lane(generation, event)))),
            producer: self.last_producer(),
        };
        let flow = self.args.flow.clone();
        self.run(myself, async move { PartitionMsg::Opened(generation, flow.open_lane(&spec).await) });
    }

    /// The producer of the newest saved position.
    fn last_producer(&self) -> Option<ProducerState> {
        self.args.flow.book.get(&self.args.source)?.producer
    }

    fn resolve(&mut self, myself: &ActorRef<PartitionMsg>, generation: Generation) {
        let question = ResolveQuestion {
            source: self.args.source.clone(),
            target: self.args.target.clone(),
            appeared: self.args.appeared,
            heartbeats: self.args.heartbeats,
            position: self.machine.position(),
            lost_from: self.machine.lost_from(),
        };
        let flow = self.args.flow.clone();
        self.run(myself, async move {
            // The semaphore is never closed.
            let _turn = flow.resolving.acquire().await;
            // On the heap, and only while it runs: what waits for its turn is small.
            let outcome = Box::pin(resolve::resolve(&flow, &question)).await;
            PartitionMsg::Resolved(generation, Box::new(outcome))
        });
    }

    /// Runs a task whose outcome is a message, in place of what runs.
    fn run(
        &mut self,
        myself: &ActorRef<PartitionMsg>,
        task: impl Future<Output = PartitionMsg> + Send + 'static,
    ) {
        self.tasks = Tasks::default();
        let myself = myself.clone();
        self.tasks.spawn(task, move |ended| {
            // An actor that has stopped meanwhile needs no news.
            let _ = myself.cast(ended.unwrap_or_else(PartitionMsg::Panicked));
        });
    }

    fn save(&self, myself: &ActorRef<PartitionMsg>, position: Position) {
        let producer = self.session.as_ref().and_then(|session| session.producer(&self.args.source));
        let producer = producer.or(position.producer.clone());
        let position = Position { written_ms: clock::now_ms(), producer, ..position };
        let save = Save { partition: self.args.source.clone(), position, reply: myself.clone() };
        if let Some(store) = self.args.flow.store.lock().as_ref() {
            // A store that ended takes the flow down with it; the next start finds the records on the target.
            let _ = store.cast(StoreMsg::Save(Box::new(save)));
        }
    }

    fn stop(&mut self, myself: &ActorRef<PartitionMsg>, generation: Generation) {
        let session = self.session.take();
        let source = self.args.source.clone();
        self.run(myself, async move {
            if let Some(session) = session {
                session.close(&source, generation).await;
            }
            PartitionMsg::Closed
        });
    }

    /// What a failed source means for the machine.
    pub(super) fn source_failed(&self, error: SourceError) -> PartitionInput {
        let at = format!("{} on {}", self.args.source, self.args.flow.source.alias());
        let fault = |kind, advice: &str| Fault::new(kind, format!("{at}: {error}"), advice);
        match &error {
            SourceError::OutOfRange { .. } | SourceError::Truncated { .. } => PartitionInput::SourceMoved,
            SourceError::UnknownPartition => PartitionInput::SourceFailed {
                fault: fault(
                    FaultKind::Other,
                    "the partition goes on by itself when the topic is there again",
                ),
                retry: true,
            },
            SourceError::Retriable(_) => PartitionInput::SourceFailed {
                fault: fault(FaultKind::Other, "it is tried again"),
                retry: true,
            },
            SourceError::Unauthorized(_) => PartitionInput::SourceFailed {
                fault: fault(
                    FaultKind::SourceUnauthorized,
                    "grant READ on the topic to the credentials of the source",
                ),
                retry: false,
            },
            SourceError::Corrupt { .. } => PartitionInput::SourceFailed {
                fault: fault(
                    FaultKind::CorruptSource,
                    "check the broker's disk; restore the segment from a replica, or move the position past it",
                ),
                retry: false,
            },
        }
    }
}

/// The topic's id in the newest catalogue; zero when that has none.
fn topic_id(cluster: &ClusterHandle, partition: &TopicPartition) -> TopicId {
    cluster.catalogue().map_or_else(TopicId::default, |catalogue| catalogue.topic_id(&partition.topic))
}
