//! What librdkafka's clients call back: logs, errors, delivery reports.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use super::batch_ack::BatchAck;

/// Whose log lines these are.
pub(super) struct Origin {
    pub(super) flow: String,
    pub(super) cluster: String,
}

impl Origin {
    /// librdkafka logs every failed attempt to connect; whether a cluster answers is told by its catalogue, so
    /// only what it calls a warning or worse is shown by default.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let (flow, cluster) = (self.flow.as_str(), self.cluster.as_str());
        match level {
            // Which settings are experimental is known, and the same on every start.
            _ if facility == "CONFWARN" => {
                tracing::debug!(target: "librdkafka", flow, cluster, facility, "{message}");
            }
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", flow, cluster, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", flow, cluster, facility, "{message}");
            }
        }
    }
}

/// Context of the consumer.
pub(super) struct SourceContext {
    origin: Origin,
    /// Text of the error event that is being polled: rdkafka gives the code alone to the caller of `poll`.
    reason: Mutex<String>,
}

impl SourceContext {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, reason: Mutex::default() }
    }

    /// Text of the last error event. Events are polled by one thread, which asks right after each.
    pub(super) fn take_reason(&self) -> String {
        std::mem::take(&mut self.reason.lock())
    }
}

impl ClientContext for SourceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.origin.log(level, facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, _error: KafkaError, reason: &str) {
        reason.clone_into(&mut self.reason.lock());
    }
}

impl ConsumerContext for SourceContext {}

/// Context of a producer.
pub(super) struct TargetContext {
    origin: Origin,
}

impl TargetContext {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin }
    }
}

impl ClientContext for TargetContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.origin.log(level, facility, message);
    }

    fn stats(&self, _statistics: Statistics) {}

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // A fatal one can't be told by its code: the thread that polls asks the client.
        tracing::debug!(target: crate::engine::LOG, flow = self.origin.flow, cluster = self.origin.cluster, %error, reason, "producer error");
    }
}

impl ProducerContext for TargetContext {
    type DeliveryOpaque = Arc<BatchAck>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<BatchAck>) {
        batch.report(match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        });
    }
}
