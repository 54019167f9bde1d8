//! Files with many mistakes: all of them are told at once, each with its key and line.

use serde_json::Value;

use super::{data, run};

/// Severity, code, key and line of every problem, in the order of the report.
fn report(name: &str) -> Vec<String> {
    let ran = run(&["check", "--json", "--offline", &data(name)]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let json = ran.json();
    assert_eq!(json["ok"], Value::Bool(false));
    let problems = json["problems"].as_array().unwrap();
    let count = |severity| problems.iter().filter(|problem| problem["severity"] == severity).count();
    assert_eq!(
        (json["errors"].as_u64(), json["warnings"].as_u64()),
        (Some(count("error") as u64), Some(count("warning") as u64))
    );
    let line = |problem: &Value| {
        assert!(problem["message"].as_str().is_some_and(|text| !text.is_empty()));
        let text = |key: &str| problem[key].as_str().unwrap().to_owned();
        let line = problem["origin"]["line"].as_u64().map_or("-".to_owned(), |line| line.to_string());
        format!("{line} {} {} {}", text("severity"), text("code"), text("key"))
    };
    problems.iter().map(line).collect()
}

#[test]
fn keys_and_values() {
    assert_eq!(
        report("keys-and-values.yaml"),
        [
            "2 error unknown_key msh",
            "3 error unknown_key discovery.interval",
            "6 error bad_value clusters.us.bootstrap",
            "7 error unknown_key clusters.us.colour",
            "9 error bad_value clusters.eu.bootstrap",
            "10 error wrong_type clusters.eu.client",
            "11 error bad_name clusters.bad name",
            "13 error bad_name clusters.__ap",
            "13 error missing_key clusters.__ap.bootstrap",
            "19 error unknown_key flows.us-eu.exlude",
            "20 error bad_pattern flows.us-eu.topics",
            "20 warning comma_in_pattern flows.us-eu.topics",
            "20 error bad_pattern flows.us-eu.topics",
            "21 error bad_value flows.us-eu.naming",
            "22 error bad_separator flows.us-eu.separator",
            "23 error bad_value flows.us-eu.start",
            "24 error bad_value flows.us-eu.max_hops",
            "25 error bad_value flows.us-eu.replication_factor",
            "26 error bad_value flows.us-eu.codec",
            "28 error bad_value flows.us-eu.heartbeats.enabled",
            "29 error bad_value flows.us-eu.heartbeats.interval",
            "31 error bad_value flows.us-eu.topic_configs.interval",
            "33 error bad_value memory.budget",
            "35 error bad_value shutdown.timeout",
            "37 error bad_value http.listen",
            "40 error bad_value telemetry.log.filter",
            "42 error bad_value telemetry.otlp.endpoint",
        ]
    );
}

#[test]
fn flows() {
    assert_eq!(
        report("flows.yaml"),
        [
            "6 error same_cluster clusters.eu.bootstrap",
            "16 error flow_to_itself flows.itself.to",
            "18 error unknown_alias flows.typo.from",
            "20 error missing_key flows.no-end.to",
            "22 error identity_cycle flows.first",
            "27 error duplicate_flow flows.second",
            "36 warning diamond flows.long",
            "36 error prefix_collision flows.long",
            "36 warning separator_in_alias flows.long",
        ]
    );
}

#[test]
fn client_settings() {
    assert_eq!(
        report("clients.yaml"),
        [
            "6 error bad_value clusters.us.client.security.protocol",
            "7 error unknown_setting clusters.us.client.sasl.mechansim",
            "8 error refused_setting clusters.us.client.acks",
            "9 warning setting_without_meaning clusters.us.client.metric.reporters",
            "15 error bad_value clusters.eu.client.sasl.jaas.config",
            "16 error bad_value clusters.eu.client.ssl.truststore.type",
            "18 error missing_file clusters.eu.client.ssl.keystore.location",
            "19 error bad_value clusters.eu.client.ssl.endpoint.identification.algorithm",
            "21 error refused_setting clusters.eu.consumer.group.id",
            "22 error refused_setting clusters.eu.consumer.auto.offset.reset",
            "23 error misplaced_setting clusters.eu.consumer.sasl.password",
            "24 warning setting_without_meaning clusters.eu.consumer.linger.ms",
            "26 error refused_setting clusters.eu.producer.enable.idempotence",
            "28 error bad_value clusters.eu.producer.max.in.flight.requests.per.connection",
            "29 error refused_setting clusters.eu.producer.compression.type",
            "31 error bad_value clusters.eu.admin.request.timeout.ms",
            "35 error missing_secret clusters.ap.client.sasl.password",
            "36 error missing_secret clusters.ap.client.sasl.username",
            "37 warning setting_without_effect clusters.ap.client.ssl.key.password",
            "42 error bad_value clusters.sa.client.sasl.mechanism",
        ]
    );
}

#[test]
fn an_empty_file_lacks_its_parts() {
    assert_eq!(report("empty.yaml"), ["- error missing_key clusters", "- error missing_key flows"]);
}

#[test]
fn hints_name_what_was_meant() {
    let ran = run(&["check", "--offline", &data("keys-and-values.yaml")]);
    for hint in [
        "did you mean `exclude`?",
        "did you mean `mesh`?",
        "did you mean `prefix`?",
        "write `discovery:` and below it `interval:`",
        "any text is `.*`, not `*`",
        "write a list: [a, b]",
    ] {
        assert!(ran.stdout.contains(hint), "{hint} is not in\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("at:      tests/data/config/keys-and-values.yaml:19"));
    assert!(ran.stdout.ends_with("26 errors, 1 warning\n"), "{}", ran.stdout);
    let ran = run(&["check", "--offline", &data("flows.yaml")]);
    for part in ["did you mean `us`?", "eu → us → eu", "a → ap and a → a.b → ap"] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}
