//! What `/status`, the metrics and the live tables show: a snapshot of the whole mesh, ready for JSON.
//! Field names are part of the interface; lags are in records, ages and latencies in milliseconds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::groups::GroupsSummary;
use super::job::JobStatus;
use super::{Alias, Fault, FlowName, Generation, TopicName};

/// The mesh at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MeshStatus {
    /// The mesh's name in the topology file.
    pub mesh: String,
    /// Identity of this process: a fresh id at every start.
    pub process: String,
    /// The program's version.
    pub version: String,
    /// When the process started, milliseconds since the epoch.
    pub started_ms: i64,
    /// Whether the process drains.
    pub draining: bool,
    /// Bytes of `memory.budget` that batches hold now.
    pub in_flight_bytes: u64,
    /// `memory.budget`, in bytes.
    pub budget_bytes: u64,
    /// Bytes that the offset maps of all flows hold now.
    pub offset_maps_bytes: u64,
    /// `offsets.memory`, in bytes.
    pub offset_maps_limit_bytes: u64,
    /// Every cluster.
    pub clusters: Vec<ClusterStatus>,
    /// Every flow.
    pub flows: Vec<FlowStatus>,
}

/// How a cluster is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// Not yet answered.
    #[default]
    Connecting,
    /// Answers.
    Reachable,
    /// Does not answer; `reason` says why.
    Unreachable,
    /// Answers, but refuses us: wrong password, wrong certificate, missing right.
    Refused,
}

/// One cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Its alias.
    pub alias: Alias,
    /// How it is.
    pub state: ClusterState,
    /// Why, when it isn't `reachable`.
    pub reason: Option<String>,
    /// The id the cluster gave itself.
    pub cluster_id: Option<String>,
    /// Brokers known.
    pub brokers: usize,
    /// Topics known.
    pub topics: usize,
    /// Age of the catalogue.
    pub catalogue_age_ms: Option<i64>,
    /// For how long our own connections were throttled by its quotas since the start, all together, by Kafka's name of
    /// the call. What librdkafka meets in the `records` engine is not known.
    pub throttled_ms: BTreeMap<&'static str, u64>,
    /// Who reaches this cluster, as its heartbeats tell.
    pub upstreams: Vec<UpstreamStatus>,
}

/// An upstream that reaches a cluster through the mesh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamStatus {
    /// The upstream cluster.
    pub alias: Alias,
    /// The way, upstream first, this cluster last.
    pub path: Vec<Alias>,
    /// Mirrors on the way.
    pub hops: u32,
    /// Age of the newest heartbeat that came this way.
    pub age_ms: i64,
}

/// One flow.
#[derive(Clone, Debug, Serialize)]
pub struct FlowStatus {
    /// Its name.
    pub name: FlowName,
    /// Source.
    pub from: Alias,
    /// Target.
    pub to: Alias,
    /// `starting`, `running`, `waiting`, `stopped`, `faulted`, `draining`.
    pub state: FlowState,
    /// Why, when it isn't `running`.
    pub reason: Option<String>,
    /// The engine in use: `records` or `passthrough`.
    pub engine: String,
    /// Why that engine.
    pub engine_reason: String,
    /// Restarts of the engine session.
    pub session_generation: Generation,
    /// Age of the newest saved position.
    pub positions_age_ms: Option<i64>,
    /// Its consumer groups, summed up; `None` before they were first read.
    pub groups: Option<GroupsSummary>,
    /// What it does again and again.
    pub jobs: Vec<JobStatus>,
    /// Topics left out, with the rule that did it.
    pub topics: Vec<TopicStatus>,
    /// Every partition.
    pub partitions: Vec<PartitionStatus>,
}

/// State of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Reads positions and builds the session.
    #[default]
    Starting,
    /// Mirrors.
    Running,
    /// Waits for a cluster.
    Waiting,
    /// Can't run; `reason` says why.
    Faulted,
    /// Winds down.
    Draining,
    /// Done, or taken over by another process.
    Stopped,
}

/// A topic as the flow sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopicStatus {
    /// Name on the source.
    pub topic: TopicName,
    /// Name on the target.
    pub remote: TopicName,
    /// Source partitions.
    pub partitions: i32,
    /// What keeps the topic from being mirrored, if anything does.
    pub fault: Option<Fault>,
}

/// State of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// Finds out where to go on.
    #[default]
    Resolving,
    /// Mirrors.
    Streaming,
    /// Stopped by an operator.
    Paused,
    /// Waits for something outside, named in `reason`.
    Waiting,
    /// Can't go on; `reason` says why, and it is tried again at `retry_at_ms`.
    Faulted,
    /// Waits for acknowledgements before it stops.
    Draining,
    /// Done.
    Stopped,
}

impl PartitionState {
    /// The label used in metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Streaming => "streaming",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Faulted => "faulted",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// One source partition of a flow.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionStatus {
    /// Topic on the source.
    pub topic: TopicName,
    /// Partition index, the same on both sides.
    pub partition: i32,
    /// State.
    pub state: PartitionState,
    /// Why, when it isn't `streaming`.
    pub reason: Option<String>,
    /// Class of the fault, when `faulted`.
    pub fault: Option<&'static str>,
    /// When a faulted partition is tried again, milliseconds since the epoch.
    pub retry_at_ms: Option<i64>,
    /// Restarts in this process.
    pub generation: Generation,
    /// Next source offset to mirror.
    pub source_next: Option<i64>,
    /// Next target offset to be written.
    pub target_next: Option<i64>,
    /// Source log end that can be mirrored (last stable offset under read_committed).
    pub source_end: Option<i64>,
    /// Records not yet mirrored: `source_end − source_next`.
    pub lag_records: Option<i64>,
    /// Age of the oldest record not yet mirrored, estimated; 0 when caught up.
    pub lag_ms: Option<i64>,
    /// Records mirrored by this process.
    pub records: u64,
    /// Bytes mirrored by this process: keys, values and headers.
    pub bytes: u64,
    /// Time from record timestamp to acknowledgement, of the newest acknowledged batch.
    pub latency_ms: Option<i64>,
    /// Bytes fetched and not yet acknowledged.
    pub in_flight_bytes: u64,
}
