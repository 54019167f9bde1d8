//! The mesh as data, and what can be said of it without asking a cluster: which topics are taken, what they are
//! called on the other side, and where a record could come round.

pub mod cycles;
mod defaults;
pub mod engine;
pub mod graph;
mod groups;
pub mod java_regex;
mod lineage;
pub mod naming;
pub mod plan;
pub mod routes;
pub mod selection;
mod spec;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic_config;

pub use defaults::{DEFAULT_CONFIG_EXCLUDE, DEFAULT_EXCLUDE, DEFAULT_GROUPS_EXCLUDE};
pub use engine::{EngineChoice, EngineKind, EngineSpec};
pub use groups::GroupSelector;
pub use naming::Naming;
pub use selection::{Choice, LeaveReason, Selector};
pub use spec::{
    ClusterSpec, DefaultsFrom, FlowSpec, GroupsSpec, HeartbeatSpec, HttpSpec, Isolation, LogFormat,
    NamingSpec, OffsetSyncsOn, OtlpSpec, PolicyKind, ProcessSpec, ReplicationFactor, ResetPolicy, StartPoint,
    TargetResetPolicy, TelemetrySpec, TopicConfigSpec, Topology,
};
