//! Gauges read from the status: one snapshot per collection, whatever the number of gauges.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use parking_lot::{Mutex, RwLock};

use super::metrics::topic_labels;
use super::summary::{FLOW_STATES, FlowRow, LagRow, PARTITION_STATES, Summary};
use crate::model::groups::GroupsSummary;
use crate::model::status::MeshStatus;
use crate::model::{Alias, FlowName};

/// Where the gauges get the status from.
pub type StatusSource = Arc<dyn Fn() -> MeshStatus + Send + Sync>;

/// Label sets that one instrument keeps by default: OpenTelemetry's own limit of 2,000 is less than a mesh of a
/// few flows with a thousand topics each.
const SERIES_LIMIT: usize = 20_000;
/// The same with series per partition.
const SERIES_LIMIT_PER_PARTITION: usize = 200_000;

/// Label sets that one instrument keeps; what exceeds it is folded into one series labelled
/// `otel_metric_overflow="true"`.
pub(super) fn series_limit(per_partition: bool) -> usize {
    if per_partition { SERIES_LIMIT_PER_PARTITION } else { SERIES_LIMIT }
}

/// The snapshot between the status and the gauges.
pub(super) struct Board {
    source: RwLock<Option<StatusSource>>,
    latest: Mutex<Arc<Summary>>,
    per_partition: bool,
    overflow_told: AtomicBool,
    panic_told: AtomicBool,
}

impl Board {
    /// Registers the gauges.
    pub(super) fn install(meter: &Meter, per_partition: bool) -> Arc<Self> {
        let board = Arc::new(Self {
            source: RwLock::new(None),
            latest: Mutex::default(),
            per_partition,
            overflow_told: AtomicBool::new(false),
            panic_told: AtomicBool::new(false),
        });
        board.install_mesh(meter);
        board.install_clusters(meter);
        board.install_flows(meter);
        board.install_groups(meter);
        board.install_lags(meter);
        board
    }

    /// Sets where snapshots come from.
    pub(super) fn observe(&self, source: StatusSource) {
        *self.source.write() = Some(source);
    }

    /// Drops the source and the last snapshot.
    pub(super) fn forget(&self) {
        *self.source.write() = None;
        *self.latest.lock() = Arc::default();
    }

    /// Takes the snapshot of this collection. Never panics: a panic here would end OpenTelemetry's export thread.
    fn refresh(&self) -> Arc<Summary> {
        let source = self.source.read().clone();
        let status = source.and_then(|source| match catch_unwind(AssertUnwindSafe(|| source())) {
            Ok(status) => Some(status),
            Err(_) => {
                if !self.panic_told.swap(true, Ordering::Relaxed) {
                    tracing::error!(target: crate::telemetry::LOG, "reading the status panicked; gauges are left out until it works again");
                }
                None
            }
        });
        let summary = Arc::new(status.map(|s| Summary::of(&s, self.per_partition)).unwrap_or_default());
        let limit = series_limit(self.per_partition);
        if summary.lags.len() > limit && !self.overflow_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: crate::telemetry::LOG,
                series = summary.lags.len(),
                limit,
                "more topics or partitions than metric series; the rest is folded into otel_metric_overflow"
            );
        }
        *self.latest.lock() = summary.clone();
        summary
    }

    fn latest(&self) -> Arc<Summary> {
        self.latest.lock().clone()
    }

    /// Registers the first gauge of all: callbacks run in the order of registration, so this one refreshes.
    fn install_mesh(self: &Arc<Self>, meter: &Meter) {
        let board = self.clone();
        meter
            .u64_observable_gauge("mirrormesh.memory.in_flight")
            .with_unit("By")
            .with_description("Bytes of the memory budget held by batches")
            .with_callback(move |gauge| gauge.observe(board.refresh().in_flight_bytes, &[]))
            .build();
        type Bytes = fn(&Summary) -> u64;
        let memory: [(&str, &str, Bytes); 3] = [
            ("mirrormesh.memory.budget", "Bytes that batches may hold", |summary| summary.budget_bytes),
            ("mirrormesh.offsets.memory.used", "Bytes held by offset maps", |summary| {
                summary.offset_maps_bytes
            }),
            ("mirrormesh.offsets.memory.limit", "Bytes that offset maps may hold", |summary| {
                summary.offset_maps_limit_bytes
            }),
        ];
        for (name, description, bytes) in memory {
            self.gauge(meter, name, "By", description, move |summary, gauge| {
                gauge.observe(bytes(summary) as f64, &[]);
            });
        }
        self.gauge(
            meter,
            "mirrormesh.telemetry.series",
            "{series}",
            "Topics or partitions that want a metric series",
            |summary, gauge| gauge.observe(summary.lags.len() as f64, &[]),
        );
        let limit = series_limit(self.per_partition) as u64;
        meter
            .u64_observable_gauge("mirrormesh.telemetry.series.limit")
            .with_unit("{series}")
            .with_description("Metric series per instrument; more are folded into one")
            .with_callback(move |gauge| gauge.observe(limit, &[]))
            .build();
    }

    fn install_clusters(self: &Arc<Self>, meter: &Meter) {
        self.gauge(
            meter,
            "mirrormesh.cluster.reachable",
            "",
            "Whether the cluster answers: 1 or 0",
            |summary, gauge| {
                for cluster in &summary.clusters {
                    let labels = [KeyValue::new("cluster", cluster.alias.to_string())];
                    gauge.observe(f64::from(u8::from(cluster.reachable)), &labels);
                }
            },
        );
        self.gauge(
            meter,
            "mirrormesh.catalogue.age",
            "s",
            "Since topics and leaders of the cluster were last read",
            |summary, gauge| {
                for cluster in &summary.clusters {
                    let labels = [KeyValue::new("cluster", cluster.alias.to_string())];
                    observe_ms(gauge, cluster.catalogue_age_ms, &labels);
                }
            },
        );
        let board = self.clone();
        meter
            .f64_observable_counter("mirrormesh.throttled")
            .with_unit("s")
            .with_description(
                "Time for which quotas of the cluster made our own connections keep quiet, by call",
            )
            .with_callback(move |counter| {
                for cluster in &board.latest().clusters {
                    for (call, ms) in &cluster.throttled_ms {
                        let labels = [
                            KeyValue::new("call", call.clone()),
                            KeyValue::new("cluster", cluster.alias.to_string()),
                        ];
                        counter.observe(*ms as f64 / 1_000.0, &labels);
                    }
                }
            })
            .build();
        self.gauge(
            meter,
            "mirrormesh.heartbeat.age",
            "s",
            "Age of the newest heartbeat of an upstream that reached the cluster on this path",
            |summary, gauge| {
                for row in &summary.heartbeats {
                    let labels = [
                        KeyValue::new("cluster", row.cluster.to_string()),
                        KeyValue::new("path", row.path.clone()),
                        KeyValue::new("upstream", row.upstream.to_string()),
                    ];
                    observe_ms(gauge, Some(row.age_ms), &labels);
                }
            },
        );
    }

    fn install_flows(self: &Arc<Self>, meter: &Meter) {
        self.gauge(
            meter,
            "mirrormesh.flow.state",
            "",
            "1 for the state the flow is in, 0 for the others",
            |summary, gauge| {
                for flow in &summary.flows {
                    for (state, name) in FLOW_STATES {
                        gauge.observe(
                            f64::from(u8::from(flow.state == state)),
                            &flow_labels(flow, Some(name)),
                        );
                    }
                }
            },
        );
        self.gauge(meter, "mirrormesh.partitions", "{partition}", "Partitions by state", |summary, gauge| {
            for flow in &summary.flows {
                for (state, count) in PARTITION_STATES.iter().zip(flow.partitions) {
                    gauge.observe(count as f64, &flow_labels(flow, Some(state.as_str())));
                }
            }
        });
        self.gauge(
            meter,
            "mirrormesh.topics.faulted",
            "{topic}",
            "Topics that are not mirrored because of a fault",
            |summary, gauge| {
                for flow in &summary.flows {
                    gauge.observe(flow.faulted_topics as f64, &flow_labels(flow, None));
                }
            },
        );
        self.gauge(
            meter,
            "mirrormesh.positions.age",
            "s",
            "Age of the flow's newest saved position",
            |summary, gauge| {
                for flow in &summary.flows {
                    observe_ms(gauge, flow.positions_age_ms, &flow_labels(flow, None));
                }
            },
        );
        self.gauge(
            meter,
            "mirrormesh.session.generation",
            "",
            "How often the flow's engine session was built anew",
            |summary, gauge| {
                for flow in &summary.flows {
                    gauge.observe(flow.session_generation as f64, &flow_labels(flow, None));
                }
            },
        );
    }

    fn install_groups(self: &Arc<Self>, meter: &Meter) {
        type Figure = fn(&GroupsSummary) -> f64;
        let figures: [(&str, &str, &str, Figure); 4] = [
            (
                "mirrormesh.groups.translated",
                "{group}",
                "Consumer groups with a translated offset",
                |groups| groups.groups as f64,
            ),
            (
                "mirrormesh.groups.partitions",
                "{partition}",
                "Translated offsets of consumer groups",
                |groups| groups.partitions as f64,
            ),
            ("mirrormesh.groups.refused", "{group}", "Consumer groups that are not kept in step", |groups| {
                groups.refused as f64
            }),
            (
                "mirrormesh.groups.redelivery",
                "{record}",
                "Records that consumer groups would read again after a failover now",
                |groups| groups.redelivery as f64,
            ),
        ];
        for (name, unit, description, figure) in figures {
            self.gauge(meter, name, unit, description, move |summary, gauge| {
                for flow in &summary.flows {
                    if let Some(groups) = &flow.groups {
                        gauge.observe(figure(groups), &flow_labels(flow, None));
                    }
                }
            });
        }
        self.gauge(
            meter,
            "mirrormesh.groups.checkpoint.age",
            "s",
            "Since every checkpoint of the flow's consumer groups was last known to be written",
            |summary, gauge| {
                for flow in &summary.flows {
                    let age_ms = flow.groups.as_ref().and_then(|groups| groups.checkpoint_age_ms);
                    observe_ms(gauge, age_ms, &flow_labels(flow, None));
                }
            },
        );
    }

    fn install_lags(self: &Arc<Self>, meter: &Meter) {
        self.gauge(
            meter,
            "mirrormesh.lag.records",
            "{record}",
            "Records of the source not yet mirrored",
            |summary, gauge| {
                for row in &summary.lags {
                    if let Some(records) = row.records {
                        gauge.observe(records as f64, &lag_labels(row));
                    }
                }
            },
        );
        self.gauge(
            meter,
            "mirrormesh.lag",
            "s",
            "Age of the oldest record not yet mirrored; 0 when caught up",
            |summary, gauge| {
                for row in &summary.lags {
                    if row.age_ms.is_some() {
                        observe_ms(gauge, row.age_ms, &lag_labels(row));
                    }
                }
            },
        );
    }

    /// Registers a gauge that is read from the snapshot of the running collection.
    fn gauge(
        self: &Arc<Self>,
        meter: &Meter,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        show: impl Fn(&Summary, &dyn AsyncInstrument<f64>) + Send + Sync + 'static,
    ) {
        let board = self.clone();
        meter
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |gauge| show(&board.latest(), gauge))
            .build();
    }
}

fn observe_ms(gauge: &dyn AsyncInstrument<f64>, ms: Option<i64>, labels: &[KeyValue]) {
    if let Some(ms) = ms {
        gauge.observe(ms.max(0) as f64 / 1_000.0, labels);
    }
}

fn flow_labels(flow: &FlowRow, state: Option<&'static str>) -> Vec<KeyValue> {
    let state = state.map(|state| KeyValue::new("state", state));
    let [name, from, to] = path(&flow.name, &flow.from, &flow.to);
    [name, from].into_iter().chain(state).chain([to]).collect()
}

fn lag_labels(row: &LagRow) -> Arc<[KeyValue]> {
    topic_labels(&path(&row.flow, &row.from, &row.to), &row.topic, row.partition)
}

fn path(flow: &FlowName, from: &Alias, to: &Alias) -> [KeyValue; 3] {
    [
        KeyValue::new("flow", flow.to_string()),
        KeyValue::new("from", from.to_string()),
        KeyValue::new("to", to.to_string()),
    ]
}
