//! What the tests of telemetry and HTTP share.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::{Events, Metrics, Restarted, Scope};
use crate::model::groups::{GroupsSummary, RefusalReason};
use crate::model::status::{
    ClusterState, ClusterStatus, FlowState, FlowStatus, MeshStatus, PartitionState, PartitionStatus,
    UpstreamStatus,
};
use crate::model::{Event, Fault, FaultKind, Generation, TopicName};
use crate::topology::{LogFormat, TelemetrySpec};

/// A telemetry configuration without exporters.
pub(crate) fn spec() -> TelemetrySpec {
    TelemetrySpec {
        log_format: LogFormat::Json,
        log_filter: "info".to_owned(),
        per_partition: false,
        otlp: None,
    }
}

/// Collects what a subscriber writes.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// The lines written since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock());
        let text = String::from_utf8(bytes).expect("logs are UTF-8");
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Lines;

    fn make_writer(&'w self) -> Lines {
        self.clone()
    }
}

/// A mesh of two clusters, east and west, where east's heartbeats reach west.
pub(crate) fn mesh(flows: Vec<FlowStatus>) -> MeshStatus {
    let heartbeat = UpstreamStatus {
        alias: "east".into(),
        path: vec!["east".into(), "west".into()],
        hops: 1,
        age_ms: 1_500,
    };
    MeshStatus {
        mesh: "test".to_owned(),
        process: "process-1".to_owned(),
        in_flight_bytes: 4_096,
        budget_bytes: 96 << 20,
        offset_maps_bytes: 2_048,
        offset_maps_limit_bytes: 256 << 20,
        clusters: vec![
            cluster("east", ClusterState::Reachable, vec![]),
            cluster("west", ClusterState::Reachable, vec![heartbeat]),
        ],
        flows,
        ..MeshStatus::default()
    }
}

/// A cluster whose catalogue is two seconds old.
pub(crate) fn cluster(alias: &str, state: ClusterState, upstreams: Vec<UpstreamStatus>) -> ClusterStatus {
    let reached = state == ClusterState::Reachable;
    ClusterStatus {
        alias: alias.into(),
        state,
        reason: None,
        cluster_id: reached.then(|| format!("id-of-{alias}")),
        brokers: 1,
        topics: 3,
        catalogue_age_ms: Some(2_000),
        throttled_ms: BTreeMap::from([("Fetch".to_owned(), 1_500)]),
        upstreams,
    }
}

fn busy() -> MeshStatus {
    let mut partition = partition("orders", 0, PartitionState::Streaming);
    (partition.lag_records, partition.lag_ms) = (Some(7), Some(1_250));
    mesh(vec![flow("east-west", vec![partition])])
}

/// Lets everything that is counted happen.
pub(crate) fn everything_happens(metrics: &Metrics, events: &Events) {
    metrics.observe(Arc::new(busy));
    metrics.cluster_restarted(&"east".into());
    let flow = metrics.flow(&"east-west".into(), &"east".into(), &"west".into());
    flow.topic(&"orders".into()).mirrored(1, 1, Some(1));
    flow.partition(&"orders".into(), 0).mirrored(1, 1, Some(1));
    flow.restarted(Restarted::Actor);
    flow.positions_saved(1);
    flow.heartbeat_written();
    flow.heartbeat_failed();
    flow.waited_for_credit(Duration::from_secs(1));
    flow.offset_gaps_shed(1);
    flow.group_offsets_committed(1);
    flow.group_refused(RefusalReason::Other);
    flow.checkpoints_written(Duration::from_secs(1));
    let fault = Event::Faulted(Fault::new(FaultKind::Other, "what", "advice"));
    events.report(&Scope::flow(&"east-west".into()), &fault);
    events.report(&Scope::cluster(&"east".into()), &fault);
}

/// A running flow from east to west.
pub(crate) fn flow(name: &str, partitions: Vec<PartitionStatus>) -> FlowStatus {
    FlowStatus {
        name: name.into(),
        from: "east".into(),
        to: "west".into(),
        state: FlowState::Running,
        reason: None,
        engine: "records".to_owned(),
        engine_reason: "the only one".to_owned(),
        session_generation: Generation(2),
        positions_age_ms: Some(750),
        groups: Some(GroupsSummary {
            groups: 3,
            partitions: 9,
            refused: 1,
            checkpoint_age_ms: Some(4_500),
            damaged_checkpoints: 0,
            redelivery: 120,
        }),
        jobs: vec![],
        topics: vec![],
        partitions,
    }
}

/// A partition without lag figures.
pub(crate) fn partition(topic: &str, partition: i32, state: PartitionState) -> PartitionStatus {
    PartitionStatus {
        topic: topic.into(),
        partition,
        state,
        reason: None,
        fault: None,
        retry_at_ms: None,
        generation: Generation(0),
        source_next: None,
        target_next: None,
        source_end: None,
        lag_records: None,
        lag_ms: None,
        records: 0,
        bytes: 0,
        latency_ms: None,
        in_flight_bytes: 0,
    }
}

/// The value of the series of `name` with exactly `labels` in Prometheus's text format.
pub(crate) fn value_of(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    wanted.sort();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, rest) = series.split_once('{').unwrap_or((series, ""));
        let mut given: Vec<&str> =
            rest.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        given.sort_unstable();
        (found == name && given == wanted).then(|| value.parse().ok())?
    })
}

/// One event of every kind. The match makes a new variant fail to compile until it has its place here.
#[expect(clippy::too_many_lines, reason = "a table: one event of every kind")]
pub(crate) fn every_event() -> Vec<Event> {
    let topic = || TopicName::from("orders");
    let first = Event::SourceRecreated { old_next: 12, new_start: 3 };
    match first {
        Event::SourceRecreated { .. }
        | Event::RetentionOvertook { .. }
        | Event::SourceTruncated { .. }
        | Event::TargetRecreated { .. }
        | Event::TargetLost { .. }
        | Event::ForeignRecords { .. }
        | Event::TailMatched { .. }
        | Event::Resumed { .. }
        | Event::TimestampZero { .. }
        | Event::Faulted(_)
        | Event::Recovered
        | Event::SessionLost { .. }
        | Event::TopicCreated { .. }
        | Event::PartitionsAdded { .. }
        | Event::TopicConfigChanged { .. }
        | Event::TopicConfigRefused { .. }
        | Event::SourceTopicGone { .. }
        | Event::HeartbeatsRefused { .. }
        | Event::CheckpointsRefused { .. }
        | Event::InternalRecordsDamaged { .. }
        | Event::GroupConflict { .. }
        | Event::GroupRefused { .. }
        | Event::GroupRecovered { .. }
        | Event::ClaimLost { .. }
        | Event::OffsetMapShed { .. }
        | Event::OffsetMapDamaged { .. }
        | Event::OffsetSyncsRefused { .. }
        | Event::LoopFound { .. } => {}
    }
    vec![
        first,
        Event::RetentionOvertook { from: 10, to: 25 },
        Event::SourceTruncated { from: 5, to: 9 },
        Event::TargetRecreated { old_next: 77 },
        Event::TargetLost { from: 40, to: 41 },
        Event::ForeignRecords { from: 6, to: 7 },
        Event::TailMatched { records: 4 },
        Event::Resumed { source_next: 100, target_next: 98 },
        Event::TimestampZero { records: 2 },
        Event::Faulted(Fault::new(
            FaultKind::RecordTooLarge,
            "east/orders-0 offset 9: 2 MB",
            "raise max.message.bytes",
        )),
        Event::Recovered,
        Event::SessionLost { reason: "broker 1 went away".to_owned() },
        Event::TopicCreated { topic: topic(), partitions: 6 },
        Event::PartitionsAdded { topic: topic(), from: 3, to: 6 },
        Event::TopicConfigChanged {
            topic: topic(),
            key: "retention.ms".to_owned(),
            value: Some("1".to_owned()),
        },
        Event::OffsetMapShed { intervals: 512 },
        Event::OffsetMapDamaged { reason: "a chunk is cut off".to_owned() },
        Event::OffsetSyncsRefused { cluster: "east".into(), reason: "no right".to_owned() },
        Event::TopicConfigRefused { topic: topic(), key: "x".to_owned(), reason: "unknown".to_owned() },
        Event::SourceTopicGone { topic: topic() },
        Event::HeartbeatsRefused { cluster: "east".into(), reason: "no right to write".to_owned() },
        Event::CheckpointsRefused { cluster: "west".into(), reason: "no WRITE".to_owned() },
        Event::InternalRecordsDamaged {
            cluster: "west".into(),
            topic: "east.checkpoints.internal".into(),
            records: 2,
        },
        Event::GroupConflict { group: "billing".to_owned(), reason: "both were committed".to_owned() },
        Event::GroupRefused {
            group: "billing".to_owned(),
            class: RefusalReason::Active,
            reason: "has members".to_owned(),
        },
        Event::GroupRecovered { group: "billing".to_owned() },
        Event::ClaimLost { by: "process-2".to_owned() },
        Event::LoopFound { path: "east → west → east".to_owned() },
    ]
}
