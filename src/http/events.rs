//! `/events`: what happened lately, oldest first.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::HttpState;
use crate::telemetry::EventRecord;

#[derive(Serialize)]
pub(super) struct Latest {
    events: Vec<EventRecord>,
}

/// The latest events that this process reported, at most 1,000.
pub(super) async fn show(State(state): State<HttpState>) -> Json<Latest> {
    Json(Latest { events: state.telemetry.events().latest() })
}
