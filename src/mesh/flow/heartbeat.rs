//! Writes a flow's heartbeats on its source, as MirrorMaker 2 does: from there they travel like any topic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use super::context::FlowContext;
use crate::batch::Codec;
use crate::formats::Heartbeat;
use crate::mesh::clock;
use crate::model::{Event, TopicPartition};
use crate::wire::{NewRecord, NewTopic, WireError};

/// MirrorMaker 2's topic.
const TOPIC: &str = "heartbeats";
/// After a refusal: rights change by hand, so a minute is soon enough.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// What the heartbeat writer is told.
#[derive(Debug)]
pub enum HeartbeatMsg {
    /// Time for the next one.
    Beat,
    /// One was written, or not.
    Beaten(Result<(), WireError>),
}

/// Writes the heartbeats of one flow.
pub struct HeartbeatActor {
    /// The flow.
    pub flow: Arc<FlowContext>,
}

/// State of the writer.
#[derive(Default)]
pub struct HeartbeatState {
    writing: Option<JoinHandle<()>>,
    refused: bool,
}

impl Actor for HeartbeatActor {
    type Msg = HeartbeatMsg;
    type State = HeartbeatState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.cast(HeartbeatMsg::Beat)?;
        Ok(HeartbeatState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HeartbeatMsg::Beat => {
                let (flow, told) = (self.flow.clone(), myself.clone());
                state.writing = Some(tokio::spawn(async move {
                    let _ = told.cast(HeartbeatMsg::Beaten(beat(&flow).await));
                }));
            }
            HeartbeatMsg::Beaten(outcome) => {
                let pause = self.note(state, outcome);
                myself.send_after(pause, || HeartbeatMsg::Beat);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(writing) = state.writing.take() {
            writing.abort();
        }
        Ok(())
    }
}

impl HeartbeatActor {
    /// Counts the outcome, says a refusal once, and returns the pause until the next.
    fn note(&self, state: &mut HeartbeatState, outcome: Result<(), WireError>) -> Duration {
        let interval = self.flow.spec.heartbeats.interval;
        match &outcome {
            Ok(()) => self.flow.metrics.heartbeat_written(),
            Err(_) => self.flow.metrics.heartbeat_failed(),
        }
        match outcome {
            Ok(()) => {
                state.refused = false;
                interval
            }
            Err(error) if error.is_unauthorized() => {
                if !std::mem::replace(&mut state.refused, true) {
                    let cluster = self.flow.source.alias().clone();
                    self.flow.report(&Event::HeartbeatsRefused { cluster, reason: error.to_string() });
                }
                AFTER_REFUSAL
            }
            // A cluster that is away is told by its own state; the beat that is missing tells the rest.
            Err(_) => interval,
        }
    }
}

async fn beat(flow: &FlowContext) -> Result<(), WireError> {
    let wire = flow.source.wire();
    // For flow A→B the record names source B and target A: what MirrorMaker 2's B→A worker writes.
    let heartbeat = Heartbeat {
        source: flow.spec.to.as_str().to_owned(),
        target: flow.spec.from.as_str().to_owned(),
        timestamp_ms: clock::now_ms(),
    };
    let known = flow.source.catalogue().is_some_and(|catalogue| catalogue.topics.contains_key(TOPIC));
    if !known {
        let new = NewTopic {
            name: TOPIC.into(),
            partitions: 1,
            replication_factor: -1,
            configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        };
        match wire.create_topic(&new, false).await {
            Err(error) if !error.is_already_there() => return Err(error),
            _ => {
                flow.source.refresh().await?;
            }
        }
    }
    let key =
        heartbeat.key().expect("an alias is shorter than 32 KiB, or no topic could carry it as a prefix");
    let record = NewRecord {
        timestamp_ms: heartbeat.timestamp_ms,
        key: Some(Bytes::from(key)),
        value: Some(Bytes::from(heartbeat.value())),
        headers: Vec::new(),
    };
    wire.produce(&TopicPartition::new(TOPIC, 0), &[record], Codec::None).await.map(drop)
}
