//! MirrorMaker 2's offset syncs: for its own connectors and clients, one pair of offsets per partition that moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::job::{Job, Refusal, Round};
use crate::formats::OffsetSync;
use crate::mesh::shared::FlowContext;
use crate::model::job::RunsIn;
use crate::model::{Alias, Event, TopicName, TopicPartition};
use crate::store::internal_topics;
use crate::topology::OffsetSyncsOn;
use crate::wire::{NewRecord, Wire, WireError};

/// Partitions whose syncs are made and written at a time: less than half a MiB.
const PARTITIONS_AT_ONCE: usize = 5_000;

/// Writes the offset syncs of one flow.
pub(crate) struct OffsetSyncs {
    flow: Arc<FlowContext>,
    /// What was written last of each partition.
    written: HashMap<TopicPartition, (i64, i64)>,
    created: bool,
    refusal: Refusal,
}

impl Job for OffsetSyncs {
    const NAME: &'static str = "offset syncs";
    const RUNS_IN: RunsIn = RunsIn::EachProcess;

    fn interval(&self) -> Duration {
        self.flow.spec.groups.interval
    }

    async fn run(&mut self) -> Round {
        let outcome = self.write().await;
        if let Some(error) = self.refusal.untold(&outcome) {
            let cluster = error.cluster().clone();
            self.flow.report(&Event::OffsetSyncsRefused { cluster, reason: error.to_string() });
        }
        if let Err(error) = &outcome {
            // A cluster that is away is told by its own state.
            debug!(target: crate::mesh::LOG, flow = %self.flow.spec.name, %error, "offset syncs not written");
        }
        Round::of(&outcome)
    }
}

impl OffsetSyncs {
    /// None written yet.
    pub(crate) fn new(flow: Arc<FlowContext>) -> Self {
        Self { flow, written: HashMap::new(), created: false, refusal: Refusal::default() }
    }

    /// Writes a sync of each partition that was mirrored further since its last one. What fails is written next time.
    async fn write(&mut self) -> Result<(), WireError> {
        let flow = self.flow.clone();
        let moved = self.moved();
        let Some((wire, topic)) = place(&flow).filter(|_| !moved.is_empty()) else { return Ok(()) };
        if !self.created {
            internal_topics::create_with(wire, &topic, &[]).await?;
            self.created = true;
        }
        let partition = TopicPartition::new(topic, 0);
        for part in moved.chunks(PARTITIONS_AT_ONCE) {
            let records: Vec<_> = part.iter().filter_map(|(source, pair)| record(source, *pair)).collect();
            if let Err(error) = internal_topics::append(wire, &partition, &records).await {
                // It may have been deleted.
                self.created = false;
                return Err(error);
            }
            self.written.extend(part.iter().cloned());
        }
        Ok(())
    }

    fn moved(&self) -> Vec<(TopicPartition, (i64, i64))> {
        let last = self.flow.maps.iter().filter_map(|(source, map)| {
            let pair = map.lock().last_mirrored()?;
            (self.written.get(&source) != Some(&pair)).then_some((source, pair))
        });
        last.collect()
    }
}

/// Where a flow's syncs go; the name has the alias of the other cluster (KIP-716).
fn place(flow: &FlowContext) -> Option<(&Wire, TopicName)> {
    let (cluster, other) = match flow.spec.offset_syncs {
        OffsetSyncsOn::Target => (&flow.target, &flow.spec.from),
        OffsetSyncsOn::Source => (&flow.source, &flow.spec.to),
        OffsetSyncsOn::Off => return None,
    };
    Some((cluster.wire(), syncs_topic(&flow.spec.naming.separator, other)))
}

fn syncs_topic(separator: &str, other: &Alias) -> TopicName {
    TopicName::from(format!("mm2-offset-syncs{separator}{other}{separator}internal"))
}

/// A sync as a record. No topic has a name that is too long for the format: Kafka allows 249 characters.
fn record(source: &TopicPartition, (upstream_offset, downstream_offset): (i64, i64)) -> Option<NewRecord> {
    let sync = OffsetSync {
        topic: source.topic.as_str().to_owned(),
        partition: source.partition,
        upstream_offset,
        downstream_offset,
    };
    Some(internal_topics::record(sync.key().ok()?, Some(sync.value())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_is_named_after_the_other_cluster() {
        assert_eq!(syncs_topic(".", &"eu".into()).as_str(), "mm2-offset-syncs.eu.internal");
        assert_eq!(syncs_topic("--", &"eu".into()).as_str(), "mm2-offset-syncs--eu--internal");
    }

    #[test]
    fn a_sync_is_what_mm2_reads() {
        let record = record(&TopicPartition::new("orders", 3), (7, 5)).unwrap();
        let sync = OffsetSync::decode(record.key.as_deref(), record.value.as_deref()).unwrap();
        let expected =
            OffsetSync { topic: "orders".to_owned(), partition: 3, upstream_offset: 7, downstream_offset: 5 };
        assert_eq!(sync, expected);
    }
}
