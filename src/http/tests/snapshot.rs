//! Pages and their JSON keys, as users' programs read them. Samples name every field, so a new one has to come here.

use std::fmt::Write;

use serde_json::Value;

use super::{Page, RunningServer, get, run};
use crate::model::groups::{
    GroupPartitionStatus, GroupRefusal, GroupStatus, GroupsSummary, RefusalReason, Worth,
};
use crate::model::job::{JobState, JobStatus, RunsIn};
use crate::model::status::{
    ClusterState, ClusterStatus, FlowState, FlowStatus, MeshStatus, PartitionState, PartitionStatus,
    TopicStatus, UpstreamStatus,
};
use crate::model::{Fault, FaultKind, Generation, TopicPartition};
use crate::snapshot::{check, json_shape};
use crate::telemetry::Scope;
use crate::telemetry::testing::every_event;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn job() -> JobStatus {
    JobStatus {
        name: "heartbeats".to_owned(),
        state: JobState::Refused,
        reason: text("no right"),
        runs_in: RunsIn::FlowOwner,
        interval_ms: 1_000,
        last_ms: Some(6),
    }
}

fn cluster() -> ClusterStatus {
    ClusterStatus {
        alias: "east".into(),
        state: ClusterState::Unreachable,
        reason: text("no answer"),
        cluster_id: text("id"),
        brokers: 3,
        topics: 12,
        catalogue_age_ms: Some(5),
        throttled_ms: [("Fetch".to_owned(), 12)].into(),
        upstreams: vec![UpstreamStatus {
            alias: "west".into(),
            path: vec!["west".into(), "east".into()],
            hops: 1,
            age_ms: 7,
        }],
    }
}

fn partition() -> PartitionStatus {
    PartitionStatus {
        topic: "orders".into(),
        partition: 0,
        state: PartitionState::Faulted,
        reason: text("no right"),
        fault: Some(FaultKind::SourceUnauthorized),
        retry_at_ms: Some(8),
        generation: Generation(1),
        source_next: Some(1),
        target_next: Some(2),
        source_end: Some(3),
        lag_records: Some(4),
        lag_ms: Some(5),
        records: 6,
        bytes: 7,
        latency_ms: Some(8),
        in_flight_bytes: 9,
    }
}

/// A status with everything filled.
pub(crate) fn full_status() -> MeshStatus {
    let fault = Fault::new(FaultKind::TargetMissing, "it is missing", "create it");
    let flow = FlowStatus {
        name: "east-west".into(),
        from: "east".into(),
        to: "west".into(),
        state: FlowState::Waiting,
        reason: text("east does not answer"),
        engine: "records".to_owned(),
        engine_reason: "it is set".to_owned(),
        session_generation: Generation(2),
        positions_age_ms: Some(1),
        groups: Some(GroupsSummary {
            groups: 1,
            partitions: 2,
            refused: 3,
            checkpoint_age_ms: Some(4),
            damaged_checkpoints: 5,
            redelivery: 6,
        }),
        jobs: vec![job()],
        topics: vec![TopicStatus {
            topic: "orders".into(),
            remote: "east.orders".into(),
            partitions: 1,
            fault: Some(fault),
        }],
        partitions: vec![partition()],
    };
    MeshStatus {
        mesh: "test".to_owned(),
        process: "process-1".to_owned(),
        version: "0.0.0".to_owned(),
        started_ms: 1,
        draining: true,
        in_flight_bytes: 2,
        budget_bytes: 3,
        offset_maps_bytes: 4,
        offset_maps_limit_bytes: 5,
        clusters: vec![cluster()],
        flows: vec![flow],
    }
}

/// A group with everything filled.
pub(crate) fn full_group() -> GroupStatus {
    let refusal = GroupRefusal { reason: RefusalReason::Active, detail: "has members".to_owned() };
    GroupStatus {
        group: "billing".to_owned(),
        source_state: "stable".to_owned(),
        target_state: "empty".to_owned(),
        partitions: vec![GroupPartitionStatus {
            source: TopicPartition::new("orders", 0),
            target: TopicPartition::new("east.orders", 0),
            source_offset: Some(1),
            source_lag: Some(2),
            translated: Some(3),
            worth: Some(Worth::Exact),
            target_offset: Some(4),
            target_lag: Some(5),
            redelivery: Some(6),
            refused: Some(refusal.clone()),
        }],
        last_sync_ms: Some(7),
        refused: Some(refusal),
    }
}

/// A page's path, code, type and JSON keys.
fn page_text(out: &mut String, path: &str, page: &Page, json: Option<&Value>) {
    let kind = page.head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or("-");
    writeln!(out, "\n## {path}\n{} {kind}", page.code).expect("a string takes text");
    match json {
        Some(json) => out.push_str(&json_shape(json)),
        None => out.push_str(&page.body),
    }
}

/// Every detail that any event carries, in one record.
fn all_events(running: &RunningServer) {
    let scope = Scope {
        flow: Some("east-west".into()),
        cluster: Some("east".into()),
        topic: Some("orders".into()),
        partition: Some(4),
    };
    for event in every_event() {
        // The one event without figures would be an empty object.
        if event != crate::model::Event::Recovered {
            running.telemetry.events().report(&scope, &event);
        }
    }
}

/// Gives `/readyz` every reason that it knows.
fn unready(running: &RunningServer) {
    let mut status = running.status.lock();
    status.clusters[0].cluster_id = None;
    status.flows[0].state = FlowState::Faulted;
}

/// One object a reason, so that each keeps its own keys.
fn by_reason(mut page: Value) -> Value {
    let reasons = page.as_object_mut().and_then(|page| page.remove("reasons")).expect("it has reasons");
    for reason in reasons.as_array().into_iter().flatten() {
        let what = reason["what"].as_str().expect("a reason has a name");
        page[format!("reasons[what={what}]")] = reason.clone();
    }
    page
}

#[tokio::test]
async fn the_snapshot_of_http_holds() {
    let running = run().await;
    let mut out = String::new();
    page_text(&mut out, "/", &get(running.address, "/").await, None);
    let metrics = get(running.address, "/metrics").await;
    page_text(&mut out, "/metrics", &Page { body: String::new(), ..metrics }, None);
    page_text(&mut out, "/healthz", &get(running.address, "/healthz").await, None);
    *running.status.lock() = full_status();
    all_events(&running);
    for path in ["/status", "/events", "/status?flow=nowhere"] {
        let page = get(running.address, path).await;
        page_text(&mut out, path, &page, Some(&page.json()));
    }
    unready(&running);
    let page = get(running.address, "/readyz").await;
    page_text(&mut out, "/readyz", &page, Some(&by_reason(page.json())));
    let translate = "/offsets?flow=there&topic=orders&partition=0&offset=120";
    for path in [translate, "/offsets?flow=nowhere", "/offsets?reverse=true"] {
        let page = get(running.address, path).await;
        page_text(&mut out, path, &page, Some(&page.json()));
    }
    let page = get(running.address, "/offsets?flow=there").await;
    let mut json = page.json();
    json["flows"][0]["groups"] = serde_json::json!([full_group()]);
    page_text(&mut out, "/offsets?flow=there", &page, Some(&json));
    check("http", &out);
}
