//! Logs, metrics and traces.
//!
//! One OpenTelemetry meter provider has two readers: Prometheus, read by `/metrics`, and OTLP push where an
//! endpoint is configured. Spans go to the same endpoint. Nothing here is global except the log subscriber, which
//! only a binary installs ([`logs::init`]), so several meshes may live in one process.

pub mod clock;
mod describe;
mod error;
mod events;
mod export;
pub mod logs;
mod metrics;
mod observe;
mod spans;
mod summary;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::{Registry, TextEncoder};

pub use describe::{Description, Details, EventSeverity, describe};
pub use error::TelemetryError;
pub use events::{EventRecord, Events, Scope};
pub use metrics::{FlowMetrics, Metrics, Restarted, TopicMetrics};
pub use observe::StatusSource;
pub use spans::{BatchTrace, MAX_LINKS, Spans};

use crate::topology::TelemetrySpec;

/// The target of this room's log lines, for filters such as `mirrormesh::telemetry=debug`.
pub(crate) const LOG: &str = "mirrormesh::telemetry";

/// Who reports: carried by every metric and span.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The mesh's name.
    pub mesh: String,
    /// Identity of this process: a fresh id at every start.
    pub process: String,
    /// The program's version.
    pub version: String,
}

/// A mesh's telemetry; cheap to clone.
///
/// [`Telemetry::shutdown`] ends it. Dropping the last clone without that ends it too, but waits for a last export
/// on the dropping thread.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
    metrics: Metrics,
    events: Events,
    spans: Spans,
}

impl Telemetry {
    /// Starts metrics and, where an OTLP endpoint is configured, their export and that of spans.
    ///
    /// The endpoint is not contacted here: one that is away is told in the log and tried again, and never holds
    /// up the mesh. Exports run on threads of their own and need no async runtime.
    ///
    /// # Errors
    /// The endpoint's address can't be used.
    pub fn start(spec: &TelemetrySpec, identity: &Identity) -> Result<Self, TelemetryError> {
        let pipeline = |error: &dyn std::fmt::Display| TelemetryError::Pipeline(error.to_string());
        let resource = resource(identity);
        let registry = Registry::new();
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| pipeline(&error))?;
        let limit = observe::series_limit(spec.per_partition);
        let mut meters = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_view(move |instrument: &Instrument| widened(instrument, limit))
            .with_reader(prometheus);
        let mut health = Vec::new();
        let mut tracers = None;
        if let Some(otlp) = &spec.otlp {
            let exporter = export::metrics(otlp)?;
            health.push(exporter.health());
            meters =
                meters.with_reader(PeriodicReader::builder(exporter).with_interval(otlp.interval).build());
            let exporter = export::spans(otlp)?;
            health.push(exporter.health());
            let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter);
            tracers = Some(provider.build());
        }
        let meters = meters.build();
        let meter = meters.meter("mirrormesh");
        let failures = export::failures(&meter);
        health.iter().for_each(|health| health.count_on(failures.clone()));
        let events = Events::new(&meter);
        let metrics = Metrics::new(&meter, spec.per_partition, events.clone());
        let spans = Spans::new(tracers.as_ref().map(|provider| provider.tracer("mirrormesh")));
        Ok(Self(Arc::new(Inner { registry, meters, tracers, metrics, events, spans })))
    }

    /// Telemetry without export, for tests and for meshes inside other programs.
    pub fn quiet() -> Self {
        let spec = TelemetrySpec {
            log_format: crate::topology::LogFormat::Text,
            log_filter: String::new(),
            per_partition: false,
            otlp: None,
        };
        let identity = Identity {
            mesh: "quiet".to_owned(),
            process: "quiet".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Self::start(&spec, &identity)
            .expect("a fresh registry takes its only collector, and there is no endpoint")
    }

    /// What the mesh counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Where events are reported.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// What makes the spans of the mesh's own work, when they are exported.
    pub fn tracer(&self) -> Option<SdkTracer> {
        self.0.tracers.as_ref().map(|provider| provider.tracer("mirrormesh"))
    }

    /// Where batches become spans.
    pub fn spans(&self) -> &Spans {
        &self.0.spans
    }

    /// Every metric in Prometheus's text format. Takes one status snapshot; no I/O.
    pub fn prometheus_text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text) {
            tracing::error!(target: crate::telemetry::LOG, error = %error, "metrics can't be written as text");
        }
        text
    }

    /// Exports what is left, spans first, then ends the export threads and forgets the status source.
    ///
    /// It works on a thread of its own, and returns after `deadline` at the latest, with `false` if that was too
    /// short or a part failed; the thread is then left behind. Call it last, when the actors have stopped; further
    /// calls do nothing. Cancel safe: the thread goes on.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let (done, wait) = tokio::sync::oneshot::channel();
        let inner = self.0.clone();
        let thread = std::thread::Builder::new().name("telemetry-end".to_owned()).spawn(move || {
            let spans = inner.tracers.as_ref().map_or(Ok(()), |tracers| tracers.shutdown_with_timeout(deadline));
            let metrics = inner.meters.shutdown_with_timeout(deadline);
            inner.metrics.stop_observing();
            let ended = [("traces", spans), ("metrics", metrics)].into_iter().all(|(signal, result)| match result {
                Ok(()) | Err(OTelSdkError::AlreadyShutdown) => true,
                Err(error) => {
                    tracing::warn!(target: crate::telemetry::LOG, signal, error = %error, "telemetry did not end well; its last figures may be missing");
                    false
                }
            });
            if done.send(ended).is_err() {
                tracing::debug!(target: crate::telemetry::LOG, "telemetry ended after its deadline");
            }
        });
        if let Err(error) = thread {
            tracing::warn!(target: crate::telemetry::LOG, error = %error, "no thread to end telemetry; its last figures are not exported");
            return false;
        }
        match tokio::time::timeout(deadline, wait).await {
            Ok(ended) => ended.unwrap_or(false),
            Err(_) => {
                tracing::warn!(target: crate::telemetry::LOG, ?deadline, "telemetry did not end in time; its last figures may be missing");
                false
            }
        }
    }
}

/// The attributes of this process, by OpenTelemetry's conventions; `OTEL_RESOURCE_ATTRIBUTES` adds to them.
fn resource(identity: &Identity) -> Resource {
    Resource::builder()
        .with_service_name("mirrormesh")
        .with_attributes([
            KeyValue::new("service.version", identity.version.clone()),
            KeyValue::new("service.instance.id", identity.process.clone()),
            KeyValue::new("mirrormesh.mesh", identity.mesh.clone()),
        ])
        .build()
}

/// Raises the limit of series for every instrument. Boundaries and units stay as the instrument has them.
fn widened(instrument: &Instrument, limit: usize) -> Option<Stream> {
    instrument
        .name()
        .starts_with("mirrormesh.")
        .then(|| Stream::builder().with_cardinality_limit(limit).build().ok())?
}

#[cfg(test)]
mod observability_tests;
#[cfg(test)]
mod otlp_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
