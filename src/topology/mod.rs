//! The mesh as data, and what can be said of it without asking a cluster: which topics are taken, what they are
//! called on the other side, and where a record could come round.

pub mod java_regex;
pub mod naming;
pub mod selection;
mod spec;

pub use naming::Naming;
pub use selection::{Choice, LeaveReason, Selector};
pub use spec::{
    ClusterSpec, Codec, DefaultsFrom, FlowSpec, HeartbeatSpec, HttpSpec, Isolation, LogFormat, NamingSpec,
    OtlpSpec, PolicyKind, ProcessSpec, ReplicationFactor, ResetPolicy, StartPoint, TargetResetPolicy,
    TelemetrySpec, TopicConfigSpec, Topology,
};
