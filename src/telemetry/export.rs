//! OTLP push: exporters on threads of their own, and their failures told without flooding the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;

use super::TelemetryError;
use crate::topology::OtlpSpec;

/// Longest that one export may take, retries included: OpenTelemetry's default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// An endpoint that stays away is told again this often, not at every attempt.
const TELL_AGAIN: Duration = Duration::from_secs(300);

/// The metric exporter of an endpoint, and the record of how it fares.
pub(super) fn metrics(spec: &OtlpSpec) -> Result<Reported<MetricExporter>, TelemetryError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address(spec, "v1/metrics")?)
        .with_timeout(EXPORT_TIMEOUT)
        .with_temporality(Temporality::Cumulative)
        .build()
        .map_err(|error| refused(spec, error.to_string()))?;
    Ok(Reported { exporter, health: Health::new("metrics", &spec.endpoint) })
}

/// The span exporter of an endpoint, and the record of how it fares.
pub(super) fn spans(spec: &OtlpSpec) -> Result<Reported<SpanExporter>, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address(spec, "v1/traces")?)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| refused(spec, error.to_string()))?;
    Ok(Reported { exporter, health: Health::new("traces", &spec.endpoint) })
}

/// The counter of failed exports.
pub(super) fn failures(meter: &Meter) -> Counter<u64> {
    meter
        .u64_counter("mirrormesh.telemetry.export.failures")
        .with_unit("{failure}")
        .with_description("Exports that the OTLP endpoint did not take, by signal")
        .build()
}

fn refused(spec: &OtlpSpec, reason: String) -> TelemetryError {
    TelemetryError::Endpoint { endpoint: without_user(&spec.endpoint), reason }
}

/// Where a signal goes: the path of the OTLP specification below the base address.
fn address(spec: &OtlpSpec, path: &str) -> Result<String, TelemetryError> {
    match spec.endpoint.split_once("://") {
        Some(("http", rest)) if !rest.trim_matches('/').is_empty() => {
            Ok(format!("{}/{path}", spec.endpoint.trim_end_matches('/')))
        }
        Some(("http", _)) => Err(refused(spec, "it names no host".to_owned())),
        Some((scheme, _)) => Err(refused(spec, format!("scheme {scheme:?} is not supported"))),
        None => Err(refused(spec, "it has no scheme".to_owned())),
    }
}

/// The address without `user:password@`, for logs.
fn without_user(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").map_or(("", endpoint), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

/// How an exporter fares: tells the first failure, then one line per [`TELL_AGAIN`], then the recovery.
#[derive(Debug)]
pub(super) struct Health {
    signal: &'static str,
    endpoint: String,
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    failures: u64,
    last_told: Option<Instant>,
    counter: Option<Counter<u64>>,
}

impl Health {
    fn new(signal: &'static str, endpoint: &str) -> Arc<Self> {
        Arc::new(Self { signal, endpoint: without_user(endpoint), state: Mutex::default() })
    }

    /// Counts failures on `counter` from now on: the meter exists only after its exporter.
    pub(super) fn count_on(&self, counter: Counter<u64>) {
        counter.add(0, &[KeyValue::new("signal", self.signal)]);
        self.state.lock().counter = Some(counter);
    }

    fn note(&self, now: Instant, result: &OTelSdkResult) {
        let mut state = self.state.lock();
        match result {
            Ok(()) if state.failures == 0 => {}
            Ok(()) => {
                let failures = std::mem::take(&mut state.failures);
                state.last_told = None;
                drop(state);
                tracing::info!(
                    target: crate::telemetry::LOG,
                    signal = self.signal,
                    endpoint = self.endpoint,
                    failures,
                    "telemetry is exported again"
                );
            }
            Err(error) => {
                state.failures += 1;
                if let Some(counter) = &state.counter {
                    counter.add(1, &[KeyValue::new("signal", self.signal)]);
                }
                if state.last_told.is_some_and(|told| now.saturating_duration_since(told) < TELL_AGAIN) {
                    return;
                }
                state.last_told = Some(now);
                let failures = state.failures;
                drop(state);
                tracing::warn!(
                    target: crate::telemetry::LOG,
                    signal = self.signal,
                    endpoint = self.endpoint,
                    failures,
                    error = %error,
                    "telemetry can't be exported; mirroring goes on; check telemetry.otlp.endpoint and the collector"
                );
            }
        }
    }
}

/// An exporter whose failures are told by [`Health`] and kept from the SDK, which would log each of them.
#[derive(Debug)]
pub(super) struct Reported<E> {
    exporter: E,
    health: Arc<Health>,
}

impl<E> Reported<E> {
    /// The record of how the exporter fares.
    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }
}

impl PushMetricExporter for Reported<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        self.health.note(Instant::now(), &result);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Reported<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        self.health.note(Instant::now(), &result);
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::logs;
    use crate::telemetry::testing::{Lines, spec};
    use opentelemetry_sdk::error::OTelSdkError;

    fn otlp(endpoint: &str) -> OtlpSpec {
        OtlpSpec { endpoint: endpoint.to_owned(), interval: Duration::from_secs(60) }
    }

    #[test]
    fn an_endpoint_that_stays_away_is_told_rarely_and_its_return_once() {
        let lines = Lines::default();
        let subscriber = logs::subscriber(&spec(), false, lines.clone(), None).expect("the filter is sound");
        tracing::subscriber::with_default(subscriber, || {
            let health = Health::new("metrics", "http://user:pass@collector:4318");
            let start = Instant::now();
            let failed = Err(OTelSdkError::InternalFailure("connection refused".to_owned()));
            for seconds in 0..300 {
                health.note(start + Duration::from_secs(seconds), &failed);
            }
            assert_eq!(lines.take().len(), 1, "five minutes of failures are one line");
            health.note(start + TELL_AGAIN, &failed);
            let again = lines.take();
            assert_eq!(again.len(), 1);
            assert!(again[0].contains("\"failures\":301"), "{again:?}");
            assert!(!again[0].contains("pass"), "{again:?}");
            health.note(start + TELL_AGAIN, &Ok(()));
            health.note(start + TELL_AGAIN, &Ok(()));
            assert_eq!(lines.take().len(), 1, "the return is told once");
        });
    }

    #[test]
    fn addresses_are_built_below_the_base() {
        let of = |endpoint: &str| address(&otlp(endpoint), "v1/metrics");
        assert_eq!(of("http://c:4318").expect("fine"), "http://c:4318/v1/metrics");
        assert_eq!(of("http://c:4318/otel/").expect("fine"), "http://c:4318/otel/v1/metrics");
        for bad in ["https://c:4318", "c:4318", "http://", "grpc://c"] {
            let error = of(bad).expect_err("refused").to_string();
            assert!(error.contains("telemetry.otlp.endpoint"), "{error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(without_user("http://u:p@c:4318/x"), "http://c:4318/x");
        assert_eq!(without_user("http://c:4318"), "http://c:4318");
        let error = address(&otlp("https://u:secret@c"), "v1/traces").expect_err("refused").to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
