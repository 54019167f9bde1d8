//! Writes a flow's heartbeats on its source, as MirrorMaker 2 does: from there they travel like any topic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::job::{Job, Refusal, Round};
use crate::formats::Heartbeat;
use crate::mesh::shared::FlowContext;
use crate::model::job::RunsIn;
use crate::model::{Codec, Event, TopicPartition};
use crate::store::internal_topics;
use crate::telemetry::clock;
use crate::wire::{NewRecord, WireError};

/// MirrorMaker 2's topic.
const TOPIC: &str = "heartbeats";

/// Writes the heartbeats of one flow.
pub(crate) struct Heartbeats {
    flow: Arc<FlowContext>,
    refusal: Refusal,
}

impl Heartbeats {
    /// None written yet.
    pub(crate) fn new(flow: Arc<FlowContext>) -> Self {
        Self { flow, refusal: Refusal::default() }
    }
}

impl Job for Heartbeats {
    const NAME: &'static str = "heartbeats";
    const RUNS_IN: RunsIn = RunsIn::FlowOwner;

    fn interval(&self) -> Duration {
        self.flow.spec.heartbeats.interval
    }

    fn first_after(&self) -> Duration {
        Duration::ZERO
    }

    async fn run(&mut self) -> Round {
        let outcome = beat(&self.flow).await;
        // A cluster that is away is told by its own state; the beat that is missing tells the rest.
        match outcome {
            Ok(()) => self.flow.metrics.heartbeat_written(),
            Err(_) => self.flow.metrics.heartbeat_failed(),
        }
        if let Some(error) = self.refusal.untold(&outcome) {
            let cluster = self.flow.source.alias().clone();
            self.flow.report(&Event::HeartbeatsRefused { cluster, reason: error.to_string() });
        }
        Round::of(&outcome)
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
        internal_topics::create_with(wire, &TOPIC.into(), &[]).await?;
        flow.source.refresh().await?;
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
