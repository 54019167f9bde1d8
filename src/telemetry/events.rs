//! Where events are reported: one log line, one count, and a place among the latest (R10).

use std::collections::VecDeque;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use serde::Serialize;
use tracing::Level;

use super::clock;
use super::describe::{Description, Details, EVENT_NAMES, EventSeverity, describe};
use crate::model::{Alias, Event, FaultKind, FlowName, TopicName};

/// Events kept for `/events`: a night's worth of a troubled mesh in well under a megabyte.
const KEPT: usize = 1_000;

/// Target of the log lines, for filters such as `mirrormesh::events=warn`.
const TARGET: &str = "mirrormesh::events";

/// What an event is about; what doesn't apply is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scope {
    /// The flow.
    pub flow: Option<FlowName>,
    /// The cluster.
    pub cluster: Option<Alias>,
    /// The topic, by its name on the source.
    pub topic: Option<TopicName>,
    /// The partition.
    pub partition: Option<i32>,
}

impl Scope {
    /// A flow as a whole.
    pub fn flow(flow: &FlowName) -> Self {
        Self { flow: Some(flow.clone()), ..Self::default() }
    }

    /// A cluster as a whole.
    pub fn cluster(cluster: &Alias) -> Self {
        Self { cluster: Some(cluster.clone()), ..Self::default() }
    }

    /// A topic of a flow.
    pub fn topic(flow: &FlowName, topic: &TopicName) -> Self {
        Self { topic: Some(topic.clone()), ..Self::flow(flow) }
    }

    /// A partition of a flow.
    pub fn partition(flow: &FlowName, topic: &TopicName, partition: i32) -> Self {
        Self { partition: Some(partition), ..Self::topic(flow, topic) }
    }
}

/// An event that was reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRecord {
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// How serious it is.
    pub severity: EventSeverity,
    /// Its name: [`Event::name`].
    pub event: &'static str,
    /// What happened.
    pub message: &'static str,
    /// What it is about.
    #[serde(flatten)]
    pub scope: Scope,
    /// Its figures.
    pub details: Details,
}

/// The reporter; cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    events: Counter<u64>,
    faults: Counter<u64>,
    latest: Mutex<VecDeque<EventRecord>>,
}

impl Events {
    /// A reporter that counts on `meter`.
    pub(super) fn new(meter: &Meter) -> Self {
        Self(Arc::new(Inner {
            events: meter
                .u64_counter("mirrormesh.events")
                .with_unit("{event}")
                .with_description("What happened to the mesh, by name")
                .build(),
            faults: meter
                .u64_counter("mirrormesh.faults")
                .with_unit("{fault}")
                .with_description("Faults of partitions, topics and flows, by class")
                .build(),
            latest: Mutex::default(),
        }))
    }

    /// Makes the counters of a flow exist at 0, so that an alert sees even the first event as a rise.
    pub(super) fn prepare(&self, flow: &FlowName) {
        let scope = Scope::flow(flow);
        for name in EVENT_NAMES {
            self.0.events.add(0, &labels(&scope, "event", name));
        }
        for kind in FaultKind::ALL {
            self.0.faults.add(0, &labels(&scope, "class", kind.as_str()));
        }
    }

    /// Reports an event: exactly one log line and one count of `mirrormesh.events`; a fault also counts under
    /// its class.
    pub fn report(&self, at: &Scope, event: &Event) {
        let description = describe(event);
        log(at, event.name(), &description);
        self.0.events.add(1, &labels(at, "event", event.name()));
        if let Event::Faulted(fault) = event {
            self.0.faults.add(1, &labels(at, "class", fault.kind.as_str()));
        }
        let record = EventRecord {
            at_ms: clock::now_ms(),
            severity: description.severity,
            event: event.name(),
            message: description.message,
            scope: at.clone(),
            details: description.details,
        };
        let mut latest = self.0.latest.lock();
        if latest.len() == KEPT {
            latest.pop_front();
        }
        latest.push_back(record);
    }

    /// The latest events, oldest first; at most 1,000.
    pub fn latest(&self) -> Vec<EventRecord> {
        self.0.latest.lock().iter().cloned().collect()
    }
}

/// Labels of a count: by flow where there is one, else by cluster. Topics are left to the log.
fn labels(at: &Scope, key: &'static str, value: &'static str) -> Vec<KeyValue> {
    let mut labels = vec![KeyValue::new(key, value)];
    match (&at.flow, &at.cluster) {
        (Some(flow), _) => labels.push(KeyValue::new("flow", flow.to_string())),
        (None, Some(cluster)) => labels.push(KeyValue::new("cluster", cluster.to_string())),
        (None, None) => {}
    }
    labels
}

fn log(at: &Scope, name: &'static str, description: &Description) {
    let details = &description.details;
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                event = name,
                flow = at.flow.as_ref().map(FlowName::as_str),
                cluster = at.cluster.as_ref().map(Alias::as_str),
                topic = at.topic.as_ref().map(TopicName::as_str).or(details.event_topic.as_deref()),
                partition = at.partition,
                from = details.from,
                to = details.to,
                source_next = details.source_next,
                target_next = details.target_next,
                records = details.records,
                intervals = details.intervals,
                partitions = details.partitions,
                event_topic = at.topic.as_ref().and(details.event_topic.as_deref()),
                group = details.group.as_deref(),
                class = details.class,
                key = details.key.as_deref(),
                value = details.value.as_deref(),
                fault = details.fault,
                reason = details.reason.as_deref(),
                advice = details.advice.as_deref(),
                "{}",
                description.message
            )
        };
    }
    match description.severity {
        EventSeverity::Info => line!(Level::INFO),
        EventSeverity::Warn => line!(Level::WARN),
        EventSeverity::Error => line!(Level::ERROR),
    }
}

#[cfg(test)]
mod tests;
