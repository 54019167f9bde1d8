//! The dashboard, the alert rules and the table of metrics name only what the program exports.

use std::collections::{BTreeMap, BTreeSet};

use fancy_regex::Regex;
use serde_json::Value;

use super::describe::EVENT_NAMES;
use super::summary::{FLOW_STATES, PARTITION_STATES};
use super::testing::{everything_happens, spec};
use super::*;

const DASHBOARD: &str = include_str!("../../observability/grafana-dashboard.json");
const RULES: &str = include_str!("../../observability/prometheus-rules.yaml");
const README: &str = include_str!("../../observability/README.md");

/// Labels by series name, as exported when everything has happened once.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let identity = Identity { mesh: "m".to_owned(), process: "p".to_owned(), version: "v".to_owned() };
    // An endpoint brings the counter of failed exports; nothing is exported before the first interval.
    let otlp = crate::topology::OtlpSpec {
        endpoint: "http://127.0.0.1:9".to_owned(),
        interval: Duration::from_secs(86_400),
    };
    let telemetry =
        Telemetry::start(&TelemetrySpec { otlp: Some(otlp), ..spec() }, &identity).expect("sound");
    everything_happens(telemetry.metrics(), telemetry.events());
    let label = Regex::new(r#"([a-z_]+)=""#).expect("sound");
    let mut series: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in telemetry.prometheus_text().lines().filter(|line| line.starts_with("mirrormesh_")) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let labels = label.captures_iter(line).map(|found| found.expect("sound")[1].to_owned());
        series.entry(name.to_owned()).or_default().extend(labels);
    }
    series
}

fn all(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("sound");
    pattern.captures_iter(text).map(|found| found.expect("sound")[1].to_owned()).collect()
}

/// Every query of a JSON tree: the texts under `expr`.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| queries(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// Checks that a query's metrics, labels and label values exist.
fn check(query: &str, exported: &BTreeMap<String, BTreeSet<String>>) {
    let names = all(r"\b(mirrormesh_[a-z_]+)", query);
    assert!(!names.is_empty(), "no metric of ours in {query:?}");
    let mut labels: BTreeSet<&str> = BTreeSet::from(["instance"]);
    for name in &names {
        let known = exported.get(name).unwrap_or_else(|| panic!("{name} in {query:?} is not exported"));
        labels.extend(known.iter().map(String::as_str));
    }
    let matched = all(r#"([a-z_]+)=~?""#, query);
    let grouped: Vec<_> = all(r"\bby \(([^)]*)\)", query)
        .iter()
        .flat_map(|list| list.split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    for label in matched.iter().chain(&grouped) {
        assert!(labels.contains(label.as_str()), "label {label} in {query:?} is not exported");
    }
    for values in all(r#"\bevent=~?"([^"]*)""#, query) {
        for event in values.split('|') {
            assert!(EVENT_NAMES.contains(&event), "event {event} in {query:?} doesn't exist");
        }
    }
    for values in all(r#"\bstate=~?"([^"]*)""#, query) {
        for state in values.split('|') {
            let known = FLOW_STATES.iter().any(|(_, name)| *name == state)
                || PARTITION_STATES.iter().any(|known| known.as_str() == state);
            assert!(known, "state {state} in {query:?} doesn't exist");
        }
    }
}

#[test]
fn the_dashboard_shows_only_what_is_exported() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() >= 20, "{found:?}");
    let exported = exported();
    found.iter().for_each(|query| check(query, &exported));
    let variable = dashboard["templating"]["list"][1]["query"]["query"].as_str().expect("the flow variable");
    let name = all(r"\b(mirrormesh_[a-z_]+)", variable);
    assert!(exported[&name[0]].contains("flow"), "{variable}");
}

#[test]
fn alerts_ask_only_for_what_is_exported_and_say_what_to_do() {
    let rules: Value = serde_yaml::from_str(RULES).expect("YAML");
    let exported = exported();
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    assert!(rules.len() >= 15, "{}", rules.len());
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        check(rule["expr"].as_str().expect("a query"), &exported);
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{name}");
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {text}"
            );
        }
    }
}

/// Prometheus's name for an OpenTelemetry one, without the suffix of counters and histograms.
fn prometheus_name(row: &str) -> String {
    let name = all(r"`(mirrormesh\.[a-z_.]+)`", row).remove(0).replace('.', "_");
    let unit = all(r"` \((s|By)\)", row);
    match unit.first().map(String::as_str) {
        Some("s") => format!("{name}_seconds"),
        Some(_) => format!("{name}_bytes"),
        None => name,
    }
}

#[test]
fn the_table_lists_every_metric_that_is_exported_and_no_other() {
    let rows = README.lines().filter(|line| line.starts_with("| `mirrormesh."));
    let listed: BTreeSet<String> = rows.map(prometheus_name).collect();
    let suffix = Regex::new("_(total|bucket|sum|count)$").expect("sound");
    let exported: BTreeSet<String> =
        exported().keys().map(|name| suffix.replace(name, "").into_owned()).collect();
    assert_eq!(listed, exported);
}
