//! What the mesh counts as it works. Actors call these once per batch; what can be read from the status is
//! observed instead ([`super::observe`]).

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::events::Events;
use super::observe::{Board, StatusSource};
use crate::model::groups::RefusalReason;
use crate::model::{Alias, FlowName, TopicName};

/// Bounds of the replication latency histogram, in seconds: 1 ms to 5 min, so that one link across a room and one
/// across the world both show their percentiles.
const LATENCY_BOUNDS_S: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// What was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// A partition's actor.
    Partition,
    /// An engine session.
    Session,
    /// Any other actor of a flow.
    Actor,
}

impl Restarted {
    /// Every kind.
    const ALL: [Self; 3] = [Self::Partition, Self::Session, Self::Actor];

    /// The label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Session => "session",
            Self::Actor => "actor",
        }
    }
}

/// The mesh's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Instruments>);

struct Instruments {
    records: Counter<u64>,
    bytes: Counter<u64>,
    latency: Histogram<f64>,
    restarts: Counter<u64>,
    positions: Counter<u64>,
    heartbeats: Counter<u64>,
    credit_wait: Counter<f64>,
    offsets_shed: Counter<u64>,
    group_commits: Counter<u64>,
    group_refusals: Counter<u64>,
    checkpoint_latency: Histogram<f64>,
    events: Events,
    per_partition: bool,
    board: Arc<Board>,
}

impl Metrics {
    /// Creates the instruments on `meter`.
    pub(super) fn new(meter: &Meter, per_partition: bool, events: Events) -> Self {
        Self(Arc::new(Instruments {
            records: meter
                .u64_counter("mirrormesh.mirrored.records")
                .with_unit("{record}")
                .with_description("Records acknowledged by the target")
                .build(),
            bytes: meter
                .u64_counter("mirrormesh.mirrored")
                .with_unit("By")
                .with_description("Keys, values and headers acknowledged by the target")
                .build(),
            latency: meter
                .f64_histogram("mirrormesh.replication.latency")
                .with_unit("s")
                .with_description(
                    "From a record's timestamp to its acknowledgement by the target, once per batch",
                )
                .with_boundaries(LATENCY_BOUNDS_S.to_vec())
                .build(),
            restarts: meter
                .u64_counter("mirrormesh.restarts")
                .with_unit("{restart}")
                .with_description("Partitions, sessions and actors that were started again")
                .build(),
            positions: meter
                .u64_counter("mirrormesh.positions.saved")
                .with_unit("{position}")
                .with_description("Positions written to the target")
                .build(),
            heartbeats: meter
                .u64_counter("mirrormesh.heartbeats")
                .with_unit("{heartbeat}")
                .with_description("Heartbeats written to the source, by outcome")
                .build(),
            credit_wait: meter
                .f64_counter("mirrormesh.credit.wait")
                .with_unit("s")
                .with_description("Time partitions had something to fetch and no room in the memory budget")
                .build(),
            offsets_shed: meter
                .u64_counter("mirrormesh.offsets.shed")
                .with_unit("{gap}")
                .with_description("Gaps that offset maps gave up to stay within offsets.memory")
                .build(),
            group_commits: meter
                .u64_counter("mirrormesh.groups.sync.commits")
                .with_unit("{offset}")
                .with_description("Offsets of consumer groups committed by us, on either side")
                .build(),
            group_refusals: meter
                .u64_counter("mirrormesh.groups.sync.refusals")
                .with_unit("{group}")
                .with_description("Times that a consumer group stopped being kept in step, by reason")
                .build(),
            checkpoint_latency: meter
                .f64_histogram("mirrormesh.groups.checkpoint.latency")
                .with_unit("s")
                .with_description(
                    "From reading offsets of groups on the source to their checkpoints' acknowledgement",
                )
                .with_boundaries(LATENCY_BOUNDS_S.to_vec())
                .build(),
            events,
            per_partition,
            board: Board::install(meter, per_partition),
        }))
    }

    /// Lets the gauges show what `source` returns; it is called once per collection, from the collecting thread.
    ///
    /// It must be quick and must not block. Should it panic, the gauges are left out of that collection.
    pub fn observe(&self, source: StatusSource) {
        self.0.board.observe(source);
    }

    /// Forgets what [`Metrics::observe`] was given: the gauges show nothing from now on.
    pub fn stop_observing(&self) {
        self.0.board.forget();
    }

    /// An actor that serves a cluster, not one flow, was started again.
    pub fn cluster_restarted(&self, cluster: &Alias) {
        let labels = [KeyValue::new("cluster", cluster.to_string()), KeyValue::new("what", "cluster")];
        self.0.restarts.add(1, &labels);
    }

    /// The metrics of one flow; its counters exist from here on, at 0.
    pub fn flow(&self, flow: &FlowName, from: &Alias, to: &Alias) -> FlowMetrics {
        self.0.events.prepare(flow);
        let flow = KeyValue::new("flow", flow.to_string());
        let metrics = FlowMetrics {
            instruments: self.0.clone(),
            path: [
                flow.clone(),
                KeyValue::new("from", from.to_string()),
                KeyValue::new("to", to.to_string()),
            ],
            flow: [flow.clone()],
            heartbeat_written: [flow.clone(), KeyValue::new("outcome", "written")],
            heartbeat_failed: [flow, KeyValue::new("outcome", "failed")],
        };
        for what in Restarted::ALL {
            metrics.add_restarts(what, 0);
        }
        metrics.positions_saved(0);
        self.0.heartbeats.add(0, &metrics.heartbeat_written);
        self.0.heartbeats.add(0, &metrics.heartbeat_failed);
        self.0.credit_wait.add(0.0, &metrics.flow);
        metrics.offset_gaps_shed(0);
        metrics.group_offsets_committed(0);
        for reason in RefusalReason::ALL {
            metrics.add_group_refusals(reason, 0);
        }
        metrics
    }
}

/// The metrics of one flow, labels ready.
#[derive(Clone)]
pub struct FlowMetrics {
    instruments: Arc<Instruments>,
    path: [KeyValue; 3],
    flow: [KeyValue; 1],
    heartbeat_written: [KeyValue; 2],
    heartbeat_failed: [KeyValue; 2],
}

impl FlowMetrics {
    /// The metrics of one topic, by its name on the source.
    pub fn topic(&self, topic: &TopicName) -> TopicMetrics {
        self.labelled(topic, None)
    }

    /// The metrics of one partition: with `telemetry.per_partition` labelled so, else the same as its topic's.
    /// A batch is counted on one of the two, not on both.
    pub fn partition(&self, topic: &TopicName, partition: i32) -> TopicMetrics {
        self.labelled(topic, self.instruments.per_partition.then_some(partition))
    }

    fn labelled(&self, topic: &TopicName, partition: Option<i32>) -> TopicMetrics {
        let by_topic = topic_labels(&self.path, topic, None);
        let counted =
            partition.map_or_else(|| by_topic.clone(), |_| topic_labels(&self.path, topic, partition));
        let metrics = TopicMetrics { instruments: self.instruments.clone(), counted, by_topic };
        metrics.mirrored(0, 0, None);
        metrics
    }

    /// Something of the flow was started again.
    pub fn restarted(&self, what: Restarted) {
        self.add_restarts(what, 1);
    }

    fn add_restarts(&self, what: Restarted, count: u64) {
        let [flow] = &self.flow;
        self.instruments.restarts.add(count, &[flow.clone(), KeyValue::new("what", what.as_str())]);
    }

    /// Positions were written.
    pub fn positions_saved(&self, positions: u64) {
        self.instruments.positions.add(positions, &self.flow);
    }

    /// A heartbeat was acknowledged by the source.
    pub fn heartbeat_written(&self) {
        self.instruments.heartbeats.add(1, &self.heartbeat_written);
    }

    /// A heartbeat could not be written.
    pub fn heartbeat_failed(&self) {
        self.instruments.heartbeats.add(1, &self.heartbeat_failed);
    }

    /// An offset map gave up its oldest gaps.
    pub fn offset_gaps_shed(&self, gaps: u64) {
        self.instruments.offsets_shed.add(gaps, &self.flow);
    }

    /// Offsets of groups were committed by us.
    pub fn group_offsets_committed(&self, offsets: u64) {
        self.instruments.group_commits.add(offsets, &self.flow);
    }

    /// A group stopped being kept in step, or for another reason than before.
    pub fn group_refused(&self, reason: RefusalReason) {
        self.add_group_refusals(reason, 1);
    }

    fn add_group_refusals(&self, reason: RefusalReason, count: u64) {
        let [flow] = &self.flow;
        let labels = [flow.clone(), KeyValue::new("reason", reason.as_str())];
        self.instruments.group_refusals.add(count, &labels);
    }

    /// Checkpoints were acknowledged, this long after the offsets were read.
    pub fn checkpoints_written(&self, latency: Duration) {
        self.instruments.checkpoint_latency.record(latency.as_secs_f64(), &self.flow);
    }

    /// A partition had something to fetch and waited this long for room in the budget.
    pub fn waited_for_credit(&self, waited: Duration) {
        self.instruments.credit_wait.add(waited.as_secs_f64(), &self.flow);
    }
}

/// Labels of a series per topic or partition, sorted by key: OpenTelemetry keeps unsorted sets twice.
pub(super) fn topic_labels(
    path: &[KeyValue; 3],
    topic: &TopicName,
    partition: Option<i32>,
) -> Arc<[KeyValue]> {
    let [flow, from, to] = path.clone();
    let partition = partition.map(|partition| KeyValue::new("partition", i64::from(partition)));
    let topic = KeyValue::new("topic", topic.to_string());
    [flow, from].into_iter().chain(partition).chain([to, topic]).collect()
}

/// The metrics of one topic or partition of a flow, labels ready.
#[derive(Clone)]
pub struct TopicMetrics {
    instruments: Arc<Instruments>,
    counted: Arc<[KeyValue]>,
    by_topic: Arc<[KeyValue]>,
}

impl TopicMetrics {
    /// A batch was acknowledged by the target. `latency_ms` is the time from its newest record's timestamp to the
    /// acknowledgement; `None` when its records have no timestamp. Clocks that disagree make it negative: counted
    /// as 0.
    pub fn mirrored(&self, records: u64, bytes: u64, latency_ms: Option<i64>) {
        self.instruments.records.add(records, &self.counted);
        self.instruments.bytes.add(bytes, &self.counted);
        if let Some(latency_ms) = latency_ms {
            self.instruments.latency.record(latency_ms.max(0) as f64 / 1_000.0, &self.by_topic);
        }
    }
}
