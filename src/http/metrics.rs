//! `/metrics`: Prometheus's text format.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::HttpState;

/// Version 0.0.4 is what [`prometheus::TextEncoder`] writes.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric. Collecting takes milliseconds on a large mesh, so it is done off the async threads.
pub(super) async fn show(State(state): State<HttpState>) -> Response {
    match tokio::task::spawn_blocking(move || state.telemetry.prometheus_text()).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(target: crate::http::LOG, error = %error, "metrics could not be collected");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be collected; the log says why\n")
                .into_response()
        }
    }
}
