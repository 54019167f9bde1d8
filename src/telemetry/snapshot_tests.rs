//! Names of metrics, events, faults and states, as users build dashboards, alerts and scripts on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fancy_regex::Regex;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use parking_lot::Mutex;

use super::summary::{FLOW_STATES, PARTITION_STATES};
use super::testing::{Lines, every_event, everything_happens, spec};
use super::*;
use crate::model::FaultKind;
use crate::model::groups::RefusalReason;
use crate::model::status::{ClusterState, PartitionState};
use crate::snapshot;
use crate::topology::OtlpSpec;

/// Long enough that only an explicit flush exports.
const NEVER: Duration = Duration::from_secs(86_400);

/// What `/metrics` shows: name, type, labels and description, and the bounds of histograms.
fn prometheus(per_partition: bool) -> BTreeMap<String, String> {
    let identity = Identity { mesh: "m".to_owned(), process: "p".to_owned(), version: "v".to_owned() };
    // An endpoint brings the counter of failed exports; nothing is exported before the first interval.
    let otlp = OtlpSpec { endpoint: "http://127.0.0.1:9".to_owned(), interval: NEVER };
    let spec = TelemetrySpec { otlp: Some(otlp), per_partition, ..spec() };
    let telemetry = Telemetry::start(&spec, &identity).expect("the address is sound");
    everything_happens(telemetry.metrics(), telemetry.events());
    let text = telemetry.prometheus_text();
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).expect("sound");
    let mut shown = BTreeMap::new();
    for metric in text.split("# HELP ").skip(1) {
        let (help, rest) = metric.split_once('\n').expect("a line of help");
        let (name, help) = help.split_once(' ').expect("a name and its help");
        let (kind, series) = rest.split_once('\n').expect("a line with the type");
        let kind = kind.rsplit(' ').next().unwrap_or_default();
        let (mut labels, mut bounds) = (BTreeSet::new(), Vec::new());
        for found in label.captures_iter(series).map(|found| found.expect("sound")) {
            labels.insert(found[1].to_owned());
            if &found[1] == "le" && !bounds.contains(&found[2].to_owned()) {
                bounds.push(found[2].to_owned());
            }
        }
        let labels = labels.into_iter().collect::<Vec<_>>().join(" ");
        let bounds = if bounds.is_empty() { String::new() } else { format!(" [{}]", bounds.join(" ")) };
        shown.insert(name.to_owned(), format!("{kind} ({labels}){bounds}: {help}"));
    }
    shown
}

/// Keeps name and unit of what is pushed.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, String>>>);

impl PushMetricExporter for Kept {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            self.0.lock().insert(metric.name().to_owned(), metric.unit().to_owned());
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// What an OTLP endpoint is sent: every instrument with its unit.
fn pushed() -> BTreeMap<String, String> {
    let kept = Kept::default();
    let reader = PeriodicReader::builder(kept.clone()).with_interval(NEVER).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let meter = provider.meter("mirrormesh");
    let events = Events::new(&meter);
    let metrics = Metrics::new(&meter, false, events.clone());
    export::failures(&meter).add(1, &[]);
    everything_happens(&metrics, &events);
    provider.force_flush().expect("the exporter takes all");
    kept.0.lock().clone()
}

fn metrics_text(text: &mut String) -> std::fmt::Result {
    let by_topic = prometheus(false);
    text.write_str("## metrics of /metrics\n")?;
    for (name, shown) in &by_topic {
        writeln!(text, "{name} {shown}")?;
    }
    text.write_str("\n## metrics of /metrics that differ with telemetry.per_partition\n")?;
    for (name, shown) in prometheus(true).iter().filter(|(name, shown)| by_topic.get(*name) != Some(shown)) {
        writeln!(text, "{name} {shown}")?;
    }
    text.write_str("\n## instruments pushed over OTLP\n")?;
    for (name, unit) in pushed() {
        writeln!(text, "{name} [{unit}]")?;
    }
    Ok(())
}

/// Every event with its level and sentence, the fields of its log line, and the keys of its record in `/events`.
fn events_text(text: &mut String) -> std::fmt::Result {
    let telemetry = Telemetry::quiet();
    let scope = Scope {
        flow: Some("east-west".into()),
        cluster: Some("east".into()),
        topic: Some("orders".into()),
        partition: Some(4),
    };
    text.write_str("\n## events\n")?;
    for event in every_event() {
        let lines = Lines::default();
        let subscriber = logs::subscriber(&spec(), false, lines.clone(), None).expect("the filter is sound");
        tracing::subscriber::with_default(subscriber, || telemetry.events().report(&scope, &event));
        let line = lines.take().remove(0);
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).expect("JSON");
        let fields: BTreeSet<&str> = line.keys().map(String::as_str).collect();
        let fields = fields.into_iter().collect::<Vec<_>>().join(" ");
        let record = telemetry.events().latest().pop().expect("it was just reported");
        let record = serde_json::to_value(record).expect("our own types serialize");
        let details: Vec<&str> =
            record["details"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let (severity, message) = (&record["severity"], record["message"].as_str().unwrap_or_default());
        writeln!(text, "{} {severity} {message}", event.name())?;
        writeln!(text, "{} log line of {}: {fields}", event.name(), line["target"])?;
        writeln!(text, "{} details: {}", event.name(), details.join(" "))?;
    }
    Ok(())
}

fn words(text: &mut String, heading: &str, words: impl IntoIterator<Item = impl serde::Serialize>) {
    let words = words.into_iter().map(|word| serde_json::to_string(&word).expect("our own types serialize"));
    text.push_str(&format!("\n## {heading}\n{}\n", words.collect::<Vec<_>>().join("\n")));
}

#[test]
fn the_snapshot_of_telemetry_holds() {
    let mut text = String::new();
    metrics_text(&mut text).expect("a string takes text");
    events_text(&mut text).expect("a string takes text");
    words(&mut text, "classes of faults in metrics", FaultKind::ALL.map(FaultKind::as_str));
    words(&mut text, "classes of faults in JSON", FaultKind::ALL);
    words(&mut text, "reasons of groups in metrics", RefusalReason::ALL.map(RefusalReason::as_str));
    words(&mut text, "reasons of groups in JSON", RefusalReason::ALL);
    words(&mut text, "states of flows in metrics", FLOW_STATES.map(|(_, label)| label));
    words(&mut text, "states of flows in JSON", FLOW_STATES.map(|(state, _)| state));
    words(&mut text, "states of partitions in metrics", PARTITION_STATES.map(PartitionState::as_str));
    words(&mut text, "states of partitions in JSON", PARTITION_STATES);
    let clusters =
        [ClusterState::Connecting, ClusterState::Reachable, ClusterState::Unreachable, ClusterState::Refused];
    words(&mut text, "states of clusters in JSON", clusters);
    snapshot::check("telemetry", &text);
}
