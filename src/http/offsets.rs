//! `/offsets`: the groups of each flow, or one offset translated.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::HttpState;
use crate::mesh::FlowEnds;
use crate::model::groups::GroupStatus;
use crate::model::{Alias, FlowName, TopicPartition};
use crate::offsets::{Direction, TranslatedOffset};

/// What can be asked. With `topic`, `partition` and `offset` it is a translation, without them the groups.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OffsetsQuery {
    flow: Option<String>,
    group: Option<String>,
    topic: Option<String>,
    partition: Option<u32>,
    offset: Option<u64>,
    reverse: Option<bool>,
}

/// As `mirrormesh offsets translate --json` prints it.
#[derive(Serialize)]
struct Translated {
    flow: FlowName,
    from: Alias,
    to: Alias,
    direction: Direction,
    offsets: [TranslatedOffset; 1],
}

#[derive(Serialize)]
struct Groups<'a> {
    flow: &'a FlowName,
    from: &'a Alias,
    to: &'a Alias,
    /// When the flow last looked, milliseconds since the epoch; none before the first time.
    as_of_ms: Option<i64>,
    groups: Vec<&'a GroupStatus>,
    /// Groups that are followed but not shown, because there are too many partitions.
    left_out: usize,
}

/// Answers from what the mesh has in memory. What is not known is a 404, a question that makes no sense a 400, each
/// with the reason as JSON.
pub(super) async fn show(
    State(state): State<HttpState>,
    asked: Result<Query<OffsetsQuery>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let mut flows = state.offsets.flows();
    let all: Vec<String> = flows.iter().map(|ends| ends.flow.to_string()).collect();
    if let Some(wanted) = &asked.flow {
        flows.retain(|ends| is_meant(ends, wanted));
        if flows.is_empty() {
            let body = json!({ "error": format!("no flow is called {wanted:?}"), "flows": all });
            return (StatusCode::NOT_FOUND, Json(body)).into_response();
        }
    }
    match (&asked.topic, asked.partition, asked.offset) {
        (None, None, None) if asked.reverse.is_none() => groups(&state, &flows, asked.group.as_deref()),
        (Some(topic), Some(partition), Some(offset)) if asked.group.is_none() => {
            let [ends] = flows.as_slice() else {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    &format!("name a flow: flow={}", all.join(" or flow=")),
                );
            };
            let (Ok(partition), Ok(offset)) = (i32::try_from(partition), i64::try_from(offset)) else {
                return refuse(StatusCode::BAD_REQUEST, "partition or offset is larger than Kafka knows");
            };
            let direction = if asked.reverse == Some(true) { Direction::Reverse } else { Direction::Forward };
            translate(&state, ends, &TopicPartition::new(topic.as_str(), partition), offset, direction)
        }
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "topic, partition and offset (and reverse) translate an offset; group alone shows a group",
        ),
    }
}

/// By name, or by ends as `FROM->TO`.
fn is_meant(ends: &FlowEnds, wanted: &str) -> bool {
    ends.flow.as_str() == wanted || wanted.split_once("->") == Some((ends.from.as_str(), ends.to.as_str()))
}

fn translate(
    state: &HttpState,
    ends: &FlowEnds,
    partition: &TopicPartition,
    offset: i64,
    direction: Direction,
) -> Response {
    let FlowEnds { flow, from, to } = ends.clone();
    match state.offsets.translate(&flow, partition, offset, direction) {
        Some(answer) => Json(Translated { flow, from, to, direction, offsets: [answer] }).into_response(),
        None => {
            let side = if direction == Direction::Forward { from } else { to };
            let why = format!("flow {flow} has no offset map for {partition} (named as on {side})");
            refuse(StatusCode::NOT_FOUND, &why)
        }
    }
}

fn groups(state: &HttpState, flows: &[FlowEnds], only: Option<&str>) -> Response {
    let snapshots: Vec<_> =
        flows.iter().filter_map(|ends| Some((ends, state.offsets.groups(&ends.flow)?))).collect();
    let shown = snapshots.iter().map(|(FlowEnds { flow, from, to }, snapshot)| Groups {
        flow,
        from,
        to,
        as_of_ms: snapshot.round_ms(),
        groups: match only {
            Some(group) => snapshot.group(group).into_iter().collect(),
            None => snapshot.groups().iter().collect(),
        },
        left_out: snapshot.left_out(),
    });
    let shown: Vec<_> = shown.collect();
    match only {
        Some(group) if shown.iter().all(|flow| flow.groups.is_empty()) => refuse(
            StatusCode::NOT_FOUND,
            &format!("no flow follows a group {group:?} with committed offsets"),
        ),
        _ => Json(json!({ "flows": shown })).into_response(),
    }
}

fn refuse(code: StatusCode, why: &str) -> Response {
    (code, Json(json!({ "error": why }))).into_response()
}
