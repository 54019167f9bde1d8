//! A mesh for tests, as a topology file would say it. A test of `config` shows that what is left out is the same there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::*;
use crate::model::Codec;

/// A mesh of flows: from, to, and what else the file says of the flow, as in `topics: [orders], max_hops: 2`.
pub(crate) fn mesh(flows: &[(&str, &str, &str)]) -> Topology {
    mesh_of(flows.iter().map(|(from, to, more)| (format!("{from}-{to}"), *from, *to, *more)))
}

/// The same with names of the flows' own.
pub(crate) fn mesh_of<'a>(flows: impl Iterator<Item = (String, &'a str, &'a str, &'a str)>) -> Topology {
    let mut topology = Topology {
        mesh: "mesh".to_owned(),
        clusters: BTreeMap::new(),
        flows: BTreeMap::new(),
        process: process(),
    };
    for (name, from, to, more) in flows {
        for alias in [from, to] {
            let bootstrap = vec![format!("{alias}:9092")];
            let cluster = ClusterSpec { alias: alias.into(), bootstrap, region: None };
            topology.clusters.insert(alias.into(), cluster);
        }
        let mut flow = flow(&name, from, to);
        let said: Mapping = serde_yaml::from_str(&format!("{{ {more} }}")).expect("a line of YAML");
        for (key, value) in &said {
            set(&mut flow, key.as_str().expect("keys are words"), value);
        }
        topology.flows.insert(flow.name.clone(), flow);
    }
    topology
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A flow of which the file says nothing but its ends.
fn flow(name: &str, from: &str, to: &str) -> FlowSpec {
    FlowSpec {
        name: name.into(),
        from: from.into(),
        to: to.into(),
        topics: texts(&[".*"]),
        exclude: texts(&DEFAULT_EXCLUDE),
        naming: NamingSpec { policy: PolicyKind::Prefix, separator: ".".to_owned() },
        start: StartPoint::Earliest,
        start_is_explicit: false,
        isolation: Isolation::ReadCommitted,
        replication_factor: ReplicationFactor::BrokerDefault,
        max_hops: 8,
        on_source_reset: ResetPolicy::Continue,
        on_target_reset: TargetResetPolicy::Restart,
        engine: EngineSpec::Auto,
        codec: Codec::Lz4,
        codec_is_explicit: false,
        topic_configs: TopicConfigSpec {
            enabled: true,
            interval: Duration::from_secs(60),
            exclude: texts(&DEFAULT_CONFIG_EXCLUDE),
            use_defaults_from: DefaultsFrom::Target,
        },
        heartbeats: HeartbeatSpec { enabled: true, interval: Duration::from_secs(1) },
        groups: GroupsSpec {
            enabled: true,
            include: texts(&[".*"]),
            exclude: texts(&DEFAULT_GROUPS_EXCLUDE),
            interval: Duration::from_secs(5),
            sync: true,
        },
        offset_syncs: OffsetSyncsOn::Target,
    }
}

/// No test here looks at how the process runs.
fn process() -> ProcessSpec {
    ProcessSpec {
        discovery_interval: Duration::from_secs(5),
        positions_interval: Duration::from_secs(1),
        memory_budget_bytes: 96 << 20,
        offsets_memory_bytes: 256 << 20,
        shutdown_timeout: Duration::from_secs(30),
        http: HttpSpec { listen: None },
        telemetry: TelemetrySpec {
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            per_partition: false,
            otlp: None,
        },
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_yaml::from_value(value.clone()).expect("a value of that key")
}

fn set(flow: &mut FlowSpec, key: &str, value: &Value) {
    match key {
        "topics" => flow.topics = read(value),
        "exclude" => flow.exclude = read(value),
        "naming" => flow.naming.policy = read(value),
        "separator" => flow.naming.separator = read(value),
        "max_hops" => flow.max_hops = read(value),
        "engine" => flow.engine = read(value),
        "codec" => (flow.codec, flow.codec_is_explicit) = (read(value), true),
        "heartbeats" => flow.heartbeats.enabled = read(&value["enabled"]),
        "topic_configs" => flow.topic_configs.enabled = read(&value["enabled"]),
        "replication_factor" if value.as_str() == Some("source") => {
            flow.replication_factor = ReplicationFactor::Source;
        }
        "replication_factor" => flow.replication_factor = ReplicationFactor::Fixed(read(value)),
        _ => panic!("tests here don't know the key {key:?}"),
    }
}
