//! The typed topology: what the configuration comes to once it has been read and found sound.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::EngineSpec;
use crate::model::{Alias, FlowName};
pub use crate::model::{Isolation, ResetPolicy, TargetResetPolicy};

/// A mesh: clusters, flows between them, and how this process runs them.
#[derive(Clone, Debug)]
pub struct Topology {
    /// The mesh's name.
    pub mesh: String,
    /// Clusters by alias.
    pub clusters: BTreeMap<Alias, ClusterSpec>,
    /// Flows by name.
    pub flows: BTreeMap<FlowName, FlowSpec>,
    /// How this process runs.
    pub process: ProcessSpec,
}

/// One cluster; how to talk to it is in `config::client::ClientSettings`.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// Its alias.
    pub alias: Alias,
    /// Bootstrap servers, `host:port`.
    pub bootstrap: Vec<String>,
    /// Where it is; shown, not interpreted.
    pub region: Option<String>,
}

/// One direction between two clusters.
#[derive(Clone, Debug)]
pub struct FlowSpec {
    /// Its name.
    pub name: FlowName,
    /// Source.
    pub from: Alias,
    /// Target.
    pub to: Alias,
    /// Patterns of topics to mirror: Java regular expressions, matched against the whole name.
    pub topics: Vec<String>,
    /// Patterns that win over `topics`.
    pub exclude: Vec<String>,
    /// What remote topics are called.
    pub naming: NamingSpec,
    /// Where a partition without a position starts.
    pub start: StartPoint,
    /// Whether `start` was set by a person, not by default: it then also settles a remote topic that isn't empty.
    pub start_is_explicit: bool,
    /// Which records are read.
    pub isolation: Isolation,
    /// Replicas of remote topics.
    pub replication_factor: ReplicationFactor,
    /// Longest chain of mirrors a topic may take.
    pub max_hops: u32,
    /// What to do when the source was reset.
    pub on_source_reset: ResetPolicy,
    /// What to do when the target was reset.
    pub on_target_reset: TargetResetPolicy,
    /// Which engine moves the batches.
    pub engine: EngineSpec,
    /// Compression of what is written; with `passthrough`, only of what must be built anew.
    pub codec: Codec,
    /// Whether `codec` was set by a person, not by default: every batch is then to be compressed so.
    pub codec_is_explicit: bool,
    /// Topic configuration sync.
    pub topic_configs: TopicConfigSpec,
    /// Heartbeats.
    pub heartbeats: HeartbeatSpec,
    /// Consumer groups.
    pub groups: GroupsSpec,
    /// Where MirrorMaker 2's offset syncs are written.
    pub offset_syncs: OffsetSyncsOn,
}

/// How remote topics are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamingSpec {
    /// The policy.
    pub policy: PolicyKind,
    /// Between alias and topic.
    pub separator: String,
}

/// Naming policies, MirrorMaker 2's two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// `A.orders` (DefaultReplicationPolicy).
    Prefix,
    /// `orders` (IdentityReplicationPolicy); heartbeats keep their prefix.
    Identity,
}

/// Where a partition without a position starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPoint {
    /// At the first record there is.
    Earliest,
    /// After the last record there is.
    Latest,
    /// At the first record with this timestamp (milliseconds since the epoch) or a later one.
    Timestamp(i64),
}

/// Replicas of remote topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    /// The target broker's default.
    BrokerDefault,
    /// As on the source, at most the target's number of brokers.
    Source,
    /// This many.
    Fixed(i16),
}

/// Compression of what the `records` engine writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Topic configuration sync.
#[derive(Clone, Debug)]
pub struct TopicConfigSpec {
    /// Whether it runs.
    pub enabled: bool,
    /// How often.
    pub interval: Duration,
    /// Patterns of entries that are left alone.
    pub exclude: Vec<String>,
    /// Which side's defaults apply to entries the source leaves at default.
    pub use_defaults_from: DefaultsFrom,
}

/// Which side's defaults apply to entries the source leaves at default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultsFrom {
    /// The target's: the entry is removed there.
    Target,
    /// The source's: its default value is set on the target.
    Source,
}

/// Heartbeats of a flow.
#[derive(Clone, Debug)]
pub struct HeartbeatSpec {
    /// Whether they are written and mirrored.
    pub enabled: bool,
    /// How often one is written.
    pub interval: Duration,
}

/// Consumer groups of a flow.
#[derive(Clone, Debug)]
pub struct GroupsSpec {
    /// Whether committed offsets are read and translated.
    pub enabled: bool,
    /// Patterns of groups to follow.
    pub include: Vec<String>,
    /// Patterns that win over `include`.
    pub exclude: Vec<String>,
    /// How often offsets are read.
    pub interval: Duration,
    /// Whether translated offsets are committed.
    pub sync: bool,
}

/// Where MirrorMaker 2's offset syncs are written (KIP-716).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffsetSyncsOn {
    /// On the target: the source may be read-only.
    Target,
    /// On the source, MirrorMaker 2's default.
    Source,
    /// Nowhere.
    Off,
}

/// How this process runs.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// How often catalogues are refreshed.
    pub discovery_interval: Duration,
    /// How often positions are written at most.
    pub positions_interval: Duration,
    /// Bytes that batches may hold in memory.
    pub memory_budget_bytes: u64,
    /// Bytes that offset maps may hold in memory.
    pub offsets_memory_bytes: u64,
    /// How long a drain may take.
    pub shutdown_timeout: Duration,
    /// The HTTP side.
    pub http: HttpSpec,
    /// Logs, metrics, traces.
    pub telemetry: TelemetrySpec,
}

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct HttpSpec {
    /// Where it listens; `None` for not at all.
    pub listen: Option<SocketAddr>,
}

/// Logs, metrics, traces.
#[derive(Clone, Debug)]
pub struct TelemetrySpec {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Filter of log lines, in `tracing` directives.
    pub log_filter: String,
    /// Metrics per partition too, not only per flow and topic.
    pub per_partition: bool,
    /// OTLP export; `None` for none.
    pub otlp: Option<OtlpSpec>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// OTLP export over HTTP.
#[derive(Clone, Debug)]
pub struct OtlpSpec {
    /// Base address of the collector, e.g. `http://collector:4318`.
    pub endpoint: String,
    /// How often metrics are pushed.
    pub interval: Duration,
}
