//! `/status`: the whole mesh as JSON; `?flow=NAME` for one flow.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::HttpState;

#[derive(Deserialize)]
pub(super) struct StatusQuery {
    flow: Option<String>,
}

/// The status; with `flow` only that flow, its clusters still among the clusters. An unknown flow is a 404 that
/// names those there are.
pub(super) async fn show(State(state): State<HttpState>, Query(asked): Query<StatusQuery>) -> Response {
    let mut status = (state.status)();
    if let Some(wanted) = asked.flow {
        if !status.flows.iter().any(|flow| flow.name.as_str() == wanted) {
            let flows: Vec<_> = status.flows.iter().map(|flow| &flow.name).collect();
            let body = json!({ "error": format!("no flow is called {wanted:?}"), "flows": flows });
            return (StatusCode::NOT_FOUND, Json(body)).into_response();
        }
        status.flows.retain(|flow| flow.name.as_str() == wanted);
    }
    Json(status).into_response()
}
