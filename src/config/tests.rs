use std::time::Duration;

use secrecy::ExposeSecret;

use crate::model::Codec;
use crate::topology::{
    DEFAULT_CONFIG_EXCLUDE, DEFAULT_EXCLUDE, DEFAULT_GROUPS_EXCLUDE, DefaultsFrom, Isolation, OffsetSyncsOn,
    PolicyKind, ReplicationFactor, ResetPolicy, StartPoint, TargetResetPolicy,
};

use super::*;

/// Loads a text as if it were a file in a folder of its own.
pub(super) fn load_text(text: &str, env: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mesh.yaml");
    std::fs::write(&file, text).unwrap();
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    load_with(&Sources { file, env: false, set: owned(set) }, &owned(env))
}

const SMALL: &str = "\
clusters:
  us-1:
    bootstrap: localhost:9092
  eu:
    bootstrap: [localhost:9093, localhost:9094]
flows:
  us-eu:
    from: us-1
    to: eu
";

#[test]
fn the_meshes_of_other_tests_are_what_a_file_makes() {
    for more in [
        "",
        "topics: [orders, 'pay.*'], exclude: []",
        "naming: identity, separator: '__', max_hops: 2",
        "engine: passthrough, codec: zstd",
        "replication_factor: source, topic_configs: { enabled: false }",
        "replication_factor: 5",
    ] {
        let comma = if more.is_empty() { "" } else { ", " };
        let text = format!(
            "clusters: {{ A: {{ bootstrap: 'A:9092' }}, B: {{ bootstrap: 'B:9092' }} }}\n\
             flows: {{ A-B: {{ from: A, to: B{comma}{more} }} }}\n"
        );
        let loaded = load_text(&text, &[], &[]).unwrap().topology;
        let made = crate::topology::testing::mesh(&[("A", "B", more)]);
        assert_eq!(format!("{:#?}", made.flows), format!("{:#?}", loaded.flows), "{more}");
        assert_eq!(format!("{:#?}", made.clusters), format!("{:#?}", loaded.clusters), "{more}");
    }
}

#[test]
fn the_smallest_file_gets_the_documented_defaults() {
    let loaded = load_text(SMALL, &[], &[]).unwrap();
    assert_eq!(loaded.warnings, []);
    let topology = loaded.topology;
    let flow = &topology.flows["us-eu"];
    assert_eq!(flow.topics, [".*"]);
    assert_eq!(flow.exclude, DEFAULT_EXCLUDE);
    assert_eq!((flow.naming.policy, flow.naming.separator.as_str()), (PolicyKind::Prefix, "."));
    assert_eq!((flow.start, flow.start_is_explicit), (StartPoint::Earliest, false));
    assert_eq!(flow.isolation, Isolation::ReadCommitted);
    assert_eq!(flow.replication_factor, ReplicationFactor::BrokerDefault);
    assert_eq!(flow.max_hops, 8);
    assert_eq!(flow.on_source_reset, ResetPolicy::Continue);
    assert_eq!(flow.on_target_reset, TargetResetPolicy::Restart);
    assert_eq!(flow.codec, Codec::Lz4);
    assert!(flow.topic_configs.enabled);
    assert_eq!(flow.topic_configs.exclude, DEFAULT_CONFIG_EXCLUDE);
    assert_eq!(flow.topic_configs.use_defaults_from, DefaultsFrom::Target);
    assert!(flow.heartbeats.enabled);
    assert_eq!(flow.heartbeats.interval, Duration::from_secs(1));
    assert!(flow.groups.enabled && flow.groups.sync);
    assert_eq!(flow.groups.include, [".*"]);
    assert_eq!(flow.groups.exclude, DEFAULT_GROUPS_EXCLUDE);
    assert_eq!(flow.groups.interval, Duration::from_secs(5));
    assert_eq!(flow.offset_syncs, OffsetSyncsOn::Target);
    let process = topology.process;
    assert_eq!(process.offsets_memory_bytes, 128 << 20);
    assert_eq!(process.discovery_interval, Duration::from_secs(2));
    assert_eq!(process.positions_interval, Duration::from_secs(1));
    assert_eq!(process.memory_budget_bytes, 96 << 20);
    assert_eq!(process.shutdown_timeout, Duration::from_secs(20));
    assert_eq!(process.http.listen.unwrap().to_string(), "127.0.0.1:8080");
    assert!(process.telemetry.otlp.is_none());
    assert_eq!(topology.clusters["eu"].bootstrap, ["localhost:9093", "localhost:9094"]);
    assert_eq!(loaded.clients["us-1"].client_id, "mirrormesh");
}

#[test]
fn later_layers_win_and_defaults_serve_every_flow() {
    let text = format!(
        "{SMALL}    codec: zstd\ndefaults:\n  codec: gzip\n  start: latest\n  heartbeats:\n    enabled: false\n"
    );
    let env = [
        ("MIRRORMESH_FLOWS__US_EU__MAX_HOPS", "3"),
        ("MIRRORMESH_HTTP__LISTEN", "off"),
        ("MIRRORMESH_MEMORY__BUDGET", "32MiB"),
        ("MIRRORMESH_FLOWS__US_EU__TOPICS", "[\"a.*\", b]"),
        ("MIRRORMESH_SERVICE_HOST", "10.0.0.1"),
        ("MIRRORMESH_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    let set = [
        ("memory.budget", "64MiB"),
        ("flows.us-eu.heartbeats.interval", "5s"),
        ("clusters.us-1.client.client.id", "me"),
    ];
    let loaded = load_text(&text, &env, &set).unwrap();
    let flow = &loaded.topology.flows["us-eu"];
    assert_eq!(flow.codec, Codec::Zstd);
    assert_eq!((flow.start, flow.start_is_explicit), (StartPoint::Latest, true));
    assert_eq!(flow.max_hops, 3);
    assert_eq!(flow.topics, ["a.*", "b"]);
    assert!(!flow.heartbeats.enabled);
    assert_eq!(flow.heartbeats.interval, Duration::from_secs(5));
    assert_eq!(loaded.topology.process.http.listen, None);
    assert_eq!(loaded.topology.process.memory_budget_bytes, 64 << 20);
    assert_eq!(loaded.clients["us-1"].client_id, "me");
}

#[test]
fn variables_reach_client_settings() {
    let env = [
        ("MIRRORMESH_CLUSTERS__US_1__CLIENT__SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("MIRRORMESH_CLUSTERS__US_1__CLIENT__SASL_MECHANISM", "SCRAM-SHA-512"),
        ("MIRRORMESH_CLUSTERS__US_1__CLIENT__SASL_USERNAME", "ann"),
        ("MIRRORMESH_CLUSTERS__US_1__CLIENT__SASL_PASSWORD", "007"),
        ("MIRRORMESH_CLUSTERS__US_1__CONSUMER__FETCH_MAX_WAIT_MS", "50"),
    ];
    let loaded = load_text(SMALL, &env, &[]).unwrap();
    let client = &loaded.clients["us-1"];
    let sasl = client.sasl.as_ref().unwrap();
    assert_eq!((sasl.mechanism.as_str(), sasl.username.as_str()), ("SCRAM-SHA-512", "ann"));
    assert_eq!(sasl.password.expose_secret(), "007");
    assert_eq!(client.rdkafka_consumer, [("fetch.wait.max.ms".to_owned(), "50".to_owned())]);
    assert!(!format!("{loaded:?}").contains("007"));
}
