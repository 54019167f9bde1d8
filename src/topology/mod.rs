//! The mesh as data, and what can be said of it without asking a cluster: which topics are taken, what they are
//! called on the other side, and where a record could come round.

mod spec;

pub use spec::{
    ClusterSpec, Codec, DefaultsFrom, FlowSpec, HeartbeatSpec, HttpSpec, Isolation, LogFormat, NamingSpec,
    OtlpSpec, PolicyKind, ProcessSpec, ReplicationFactor, ResetPolicy, StartPoint, TargetResetPolicy,
    TelemetrySpec, TopicConfigSpec, Topology,
};
