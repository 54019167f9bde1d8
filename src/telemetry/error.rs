//! What keeps telemetry from starting.

use thiserror::Error;

/// Why telemetry could not be started. Once it runs it never fails: trouble is logged and counted.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `telemetry.log_filter` can't be read.
    #[error(
        "telemetry.log_filter: {filter:?} is not a list of filter directives: {reason}; \
         write for example \"info\" or \"info,mirrormesh::engine=debug\""
    )]
    Filter {
        /// The value given.
        filter: String,
        /// What the parser says.
        reason: String,
    },
    /// A log subscriber was installed before this one.
    #[error("logs are already set up in this process: {0}")]
    LogsAlreadySet(String),
    /// `telemetry.otlp.endpoint` can't be used.
    #[error(
        "telemetry.otlp.endpoint: {endpoint:?} can't be used: {reason}; \
         give the base address of a collector that speaks OTLP over plain HTTP, for example \"http://localhost:4318\""
    )]
    Endpoint {
        /// The value given.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// The metric pipeline could not be built.
    #[error("the metric pipeline can't be built: {0}")]
    Pipeline(String),
}
