use std::collections::BTreeSet;

use super::*;
use crate::model::{Fault, FaultKind};
use crate::telemetry::testing::{Lines, every_event, spec, value_of};
use crate::telemetry::{Telemetry, logs};

/// Reports one event with fresh telemetry, and returns its log lines and the metrics after it.
fn report(scope: &Scope, event: &Event) -> (Vec<String>, String, Telemetry) {
    let telemetry = Telemetry::quiet();
    let lines = Lines::default();
    let subscriber = logs::subscriber(&spec(), false, lines.clone(), None).expect("the filter is sound");
    tracing::subscriber::with_default(subscriber, || telemetry.events().report(scope, event));
    (lines.take(), telemetry.prometheus_text(), telemetry)
}

/// R10: nothing is dropped, skipped or reset without a log line, a metric and an event that say what and why.
#[test]
fn r10_every_event_is_one_log_line_one_count_and_one_record() {
    let events = every_event();
    assert_eq!(events.len(), EVENT_NAMES.len());
    let scope = Scope::partition(&"east-west".into(), &"orders".into(), 4);
    for event in &events {
        let (lines, metrics, telemetry) = report(&scope, event);
        assert_eq!(lines.len(), 1, "{event:?}: {lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("a JSON object");
        assert_eq!(line["event"], event.name());
        assert_eq!(line["flow"], "east-west");
        assert_eq!(line["topic"], "orders");
        assert_eq!(line["partition"], 4);
        assert!(line["message"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        let counts: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("mirrormesh_events_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        assert_eq!(counts, 1.0, "{event:?}: {metrics}");
        let labels = [("event", event.name()), ("flow", "east-west")];
        assert_eq!(value_of(&metrics, "mirrormesh_events_total", &labels), Some(1.0));
        let latest = telemetry.events().latest();
        assert_eq!(latest.iter().map(|record| record.event).collect::<Vec<_>>(), [event.name()]);
    }
}

#[test]
fn the_list_of_names_is_that_of_the_events() {
    let names: BTreeSet<_> = every_event().iter().map(Event::name).collect();
    assert_eq!(names, BTreeSet::from(EVENT_NAMES));
}

#[test]
fn ranges_and_reasons_are_fields() {
    let scope = Scope::partition(&"f".into(), &"t".into(), 0);
    let (lines, ..) = report(&scope, &Event::RetentionOvertook { from: 10, to: 25 });
    let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(
        (line["level"].as_str(), line["from"].as_i64(), line["to"].as_i64()),
        (Some("ERROR"), Some(10), Some(25))
    );
    assert!(line.get("reason").is_none(), "absent fields stay away: {line}");

    let fault = Fault::new(FaultKind::SourceUnauthorized, "east/t: not allowed to read", "grant READ");
    let (lines, metrics, _) = report(&scope, &Event::Faulted(fault));
    let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(line["fault"], "source_unauthorized");
    assert_eq!(line["reason"], "east/t: not allowed to read");
    assert_eq!(line["advice"], "grant READ");
    let labels = [("class", "source_unauthorized"), ("flow", "f")];
    assert_eq!(value_of(&metrics, "mirrormesh_faults_total", &labels), Some(1.0));
}

#[test]
fn a_topic_named_by_the_event_is_the_line_s_topic_unless_the_scope_has_one() {
    let created = Event::TopicCreated { topic: "east.orders".into(), partitions: 1 };
    let (lines, ..) = report(&Scope::flow(&"f".into()), &created);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(line["topic"], "east.orders");
    let (lines, ..) = report(&Scope::topic(&"f".into(), &"orders".into()), &created);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!((line["topic"].as_str(), line["event_topic"].as_str()), (Some("orders"), Some("east.orders")));
}

#[test]
fn events_of_a_cluster_are_counted_by_cluster() {
    let event = Event::HeartbeatsRefused { cluster: "east".into(), reason: "read-only".to_owned() };
    let (_, metrics, _) = report(&Scope::cluster(&"east".into()), &event);
    let labels = [("cluster", "east"), ("event", "heartbeats_refused")];
    assert_eq!(value_of(&metrics, "mirrormesh_events_total", &labels), Some(1.0));
}

#[test]
fn only_the_latest_events_are_kept() {
    let telemetry = Telemetry::quiet();
    let scope = Scope::flow(&"f".into());
    for records in 0..(KEPT as u64 + 5) {
        telemetry.events().report(&scope, &Event::TailMatched { records });
    }
    let latest = telemetry.events().latest();
    assert_eq!(latest.len(), KEPT);
    assert_eq!(latest.first().and_then(|record| record.details.records), Some(5));
    assert_eq!(latest.last().and_then(|record| record.details.records), Some(KEPT as u64 + 4));
}

#[test]
fn every_class_of_fault_has_its_counter() {
    let classes: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(classes.len(), FaultKind::ALL.len());
    // `Other` is the last variant: a kind added before it raises its number.
    assert_eq!(FaultKind::ALL.len(), FaultKind::Other as usize + 1);
}
