use std::sync::atomic::{AtomicUsize, Ordering};

use super::testing::{flow, mesh, partition, spec, value_of};
use super::*;
use crate::model::groups::RefusalReason;
use crate::model::status::{ClusterState, MeshStatus, PartitionState};

fn identity() -> Identity {
    Identity { mesh: "test".to_owned(), process: "process-1".to_owned(), version: "0.0.0".to_owned() }
}

fn start(per_partition: bool) -> Telemetry {
    Telemetry::start(&TelemetrySpec { per_partition, ..spec() }, &identity()).expect("no endpoint")
}

fn lagging() -> MeshStatus {
    let mut a = partition("orders", 0, PartitionState::Streaming);
    (a.lag_records, a.lag_ms) = (Some(7), Some(1_250));
    let mut b = partition("orders", 1, PartitionState::Faulted);
    (b.lag_records, b.lag_ms) = (Some(5), Some(250));
    mesh(vec![flow("east-west", vec![a, b])])
}

#[test]
fn gauges_show_the_status() {
    let telemetry = start(false);
    telemetry.metrics().observe(Arc::new(lagging));
    let text = telemetry.prometheus_text();
    let flow = [("flow", "east-west"), ("from", "east"), ("to", "west")];
    let with = |key, value| [&flow[..], &[(key, value)]].concat();
    let of = |name: &str, labels: &[(&str, &str)]| value_of(&text, name, labels);
    assert_eq!(of("mirrormesh_lag_records", &with("topic", "orders")), Some(12.0), "{text}");
    assert_eq!(of("mirrormesh_lag_seconds", &with("topic", "orders")), Some(1.25), "{text}");
    assert_eq!(of("mirrormesh_partitions", &with("state", "streaming")), Some(1.0));
    assert_eq!(of("mirrormesh_partitions", &with("state", "faulted")), Some(1.0));
    assert_eq!(of("mirrormesh_partitions", &with("state", "paused")), Some(0.0));
    assert_eq!(of("mirrormesh_flow_state", &with("state", "running")), Some(1.0));
    assert_eq!(of("mirrormesh_flow_state", &with("state", "faulted")), Some(0.0));
    assert_eq!(of("mirrormesh_positions_age_seconds", &flow), Some(0.75));
    assert_eq!(of("mirrormesh_session_generation", &flow), Some(2.0));
    assert_eq!(of("mirrormesh_groups_translated", &flow), Some(3.0));
    assert_eq!(of("mirrormesh_groups_partitions", &flow), Some(9.0));
    assert_eq!(of("mirrormesh_groups_refused", &flow), Some(1.0));
    assert_eq!(of("mirrormesh_groups_redelivery", &flow), Some(120.0));
    assert_eq!(of("mirrormesh_groups_checkpoint_age_seconds", &flow), Some(4.5));
    assert_eq!(of("mirrormesh_memory_in_flight_bytes", &[]), Some(4_096.0));
    assert_eq!(of("mirrormesh_memory_budget_bytes", &[]), Some(100_663_296.0));
    assert_eq!(of("mirrormesh_offsets_memory_used_bytes", &[]), Some(2_048.0));
    assert_eq!(of("mirrormesh_offsets_memory_limit_bytes", &[]), Some(268_435_456.0));
    assert_eq!(of("mirrormesh_cluster_reachable", &[("cluster", "west")]), Some(1.0));
    assert_eq!(of("mirrormesh_catalogue_age_seconds", &[("cluster", "west")]), Some(2.0));
    let throttled = [("cluster", "west"), ("call", "Fetch")];
    assert_eq!(of("mirrormesh_throttled_seconds_total", &throttled), Some(1.5));
    let path = [("cluster", "west"), ("upstream", "east"), ("path", "east → west")];
    assert_eq!(of("mirrormesh_heartbeat_age_seconds", &path), Some(1.5));
    assert!(text.contains("mirrormesh_mesh=\"test\"") && !text.contains("otel_scope"), "{text}");
}

#[test]
fn lag_is_shown_per_partition_only_when_asked() {
    let telemetry = start(true);
    telemetry.metrics().observe(Arc::new(lagging));
    let text = telemetry.prometheus_text();
    let labels =
        [("flow", "east-west"), ("from", "east"), ("partition", "1"), ("to", "west"), ("topic", "orders")];
    assert_eq!(value_of(&text, "mirrormesh_lag_records", &labels), Some(5.0), "{text}");
}

#[test]
fn one_snapshot_is_taken_per_collection_and_what_is_gone_disappears() {
    let telemetry = start(false);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    telemetry.metrics().observe(Arc::new(move || {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        let mut status = lagging();
        if call > 0 {
            status.flows.clear();
            status.clusters[1].upstreams.clear();
            status.clusters[1].state = ClusterState::Unreachable;
        }
        status
    }));
    let first = telemetry.prometheus_text();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(first.contains("mirrormesh_lag_records{") && first.contains("mirrormesh_heartbeat_age_seconds{"));
    let second = telemetry.prometheus_text();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert!(!second.contains("mirrormesh_lag_records{"), "{second}");
    assert!(!second.contains("mirrormesh_heartbeat_age_seconds{"), "{second}");
    assert_eq!(value_of(&second, "mirrormesh_cluster_reachable", &[("cluster", "west")]), Some(0.0));

    telemetry.metrics().stop_observing();
    let last = telemetry.prometheus_text();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert!(!last.contains("mirrormesh_cluster_reachable{"), "{last}");
}

#[test]
fn a_status_that_panics_leaves_the_counters_alive() {
    let telemetry = start(false);
    let healthy = Arc::new(AtomicUsize::new(0));
    let switch = healthy.clone();
    telemetry.metrics().observe(Arc::new(move || {
        assert!(switch.load(Ordering::SeqCst) > 0, "the status is broken, as this test wants it");
        lagging()
    }));
    let flow = telemetry.metrics().flow(&"east-west".into(), &"east".into(), &"west".into());
    flow.positions_saved(3);
    let text = telemetry.prometheus_text();
    assert_eq!(value_of(&text, "mirrormesh_positions_saved_total", &[("flow", "east-west")]), Some(3.0));
    assert!(!text.contains("mirrormesh_lag_records{"), "{text}");
    healthy.store(1, Ordering::SeqCst);
    assert!(telemetry.prometheus_text().contains("mirrormesh_lag_records{"));
}

#[test]
fn batches_are_counted_by_flow_and_topic() {
    let telemetry = start(false);
    let flow = telemetry.metrics().flow(&"east-west".into(), &"east".into(), &"west".into());
    let topic = flow.topic(&"orders".into());
    topic.mirrored(10, 1_000, Some(40));
    flow.partition(&"orders".into(), 3).mirrored(5, 500, Some(-20));
    topic.mirrored(1, 1, None);
    let text = telemetry.prometheus_text();
    let labels = [("flow", "east-west"), ("from", "east"), ("to", "west"), ("topic", "orders")];
    assert_eq!(value_of(&text, "mirrormesh_mirrored_records_total", &labels), Some(16.0), "{text}");
    assert_eq!(value_of(&text, "mirrormesh_mirrored_bytes_total", &labels), Some(1_501.0), "{text}");
    assert_eq!(value_of(&text, "mirrormesh_replication_latency_seconds_count", &labels), Some(2.0), "{text}");
    assert_eq!(value_of(&text, "mirrormesh_replication_latency_seconds_sum", &labels), Some(0.04), "{text}");
    for bound in ["0.001", "300"] {
        assert!(text.contains(&format!("le=\"{bound}\"")), "bound {bound}: {text}");
    }
}

#[test]
fn partitions_are_counted_apart_when_asked() {
    let telemetry = start(true);
    let flow = telemetry.metrics().flow(&"f".into(), &"a".into(), &"b".into());
    flow.partition(&"t".into(), 0).mirrored(1, 1, Some(1));
    flow.partition(&"t".into(), 1).mirrored(2, 1, Some(1));
    let text = telemetry.prometheus_text();
    let labels = [("flow", "f"), ("from", "a"), ("partition", "1"), ("to", "b"), ("topic", "t")];
    assert_eq!(value_of(&text, "mirrormesh_mirrored_records_total", &labels), Some(2.0), "{text}");
}

#[test]
fn counters_exist_at_zero_before_anything_happens() {
    let telemetry = start(false);
    let flow = telemetry.metrics().flow(&"f".into(), &"a".into(), &"b".into());
    flow.topic(&"t".into());
    let text = telemetry.prometheus_text();
    let of = |name: &str, labels: &[(&str, &str)]| value_of(&text, name, labels);
    assert_eq!(
        of("mirrormesh_events_total", &[("event", "target_lost"), ("flow", "f")]),
        Some(0.0),
        "{text}"
    );
    assert_eq!(of("mirrormesh_faults_total", &[("class", "loop"), ("flow", "f")]), Some(0.0));
    assert_eq!(of("mirrormesh_restarts_total", &[("flow", "f"), ("what", "session")]), Some(0.0));
    assert_eq!(of("mirrormesh_heartbeats_total", &[("flow", "f"), ("outcome", "failed")]), Some(0.0));
    assert_eq!(of("mirrormesh_credit_wait_seconds_total", &[("flow", "f")]), Some(0.0));
    let labels = [("flow", "f"), ("from", "a"), ("to", "b"), ("topic", "t")];
    assert_eq!(of("mirrormesh_mirrored_records_total", &labels), Some(0.0));
}

#[test]
fn what_a_flow_does_is_counted() {
    let telemetry = start(false);
    let flow = telemetry.metrics().flow(&"f".into(), &"a".into(), &"b".into());
    flow.restarted(Restarted::Partition);
    flow.restarted(Restarted::Session);
    flow.restarted(Restarted::Session);
    telemetry.metrics().cluster_restarted(&"a".into());
    flow.heartbeat_written();
    flow.heartbeat_failed();
    flow.heartbeat_failed();
    flow.waited_for_credit(Duration::from_millis(1_500));
    flow.group_offsets_committed(20);
    flow.group_refused(RefusalReason::Active);
    flow.checkpoints_written(Duration::from_millis(250));
    let text = telemetry.prometheus_text();
    let of = |name: &str, labels: &[(&str, &str)]| value_of(&text, name, labels);
    assert_eq!(of("mirrormesh_restarts_total", &[("flow", "f"), ("what", "session")]), Some(2.0));
    assert_eq!(of("mirrormesh_restarts_total", &[("flow", "f"), ("what", "partition")]), Some(1.0));
    assert_eq!(of("mirrormesh_restarts_total", &[("cluster", "a"), ("what", "cluster")]), Some(1.0));
    assert_eq!(of("mirrormesh_heartbeats_total", &[("flow", "f"), ("outcome", "written")]), Some(1.0));
    assert_eq!(of("mirrormesh_heartbeats_total", &[("flow", "f"), ("outcome", "failed")]), Some(2.0));
    assert_eq!(of("mirrormesh_credit_wait_seconds_total", &[("flow", "f")]), Some(1.5));
    assert_eq!(of("mirrormesh_groups_sync_commits_total", &[("flow", "f")]), Some(20.0));
    let refusals = |reason| of("mirrormesh_groups_sync_refusals_total", &[("flow", "f"), ("reason", reason)]);
    assert_eq!((refusals("active"), refusals("conflict")), (Some(1.0), Some(0.0)));
    assert_eq!(of("mirrormesh_groups_checkpoint_latency_seconds_sum", &[("flow", "f")]), Some(0.25));
}

#[test]
fn more_topics_than_opentelemetry_s_own_limit_keep_their_series() {
    let telemetry = start(false);
    let flow = telemetry.metrics().flow(&"f".into(), &"a".into(), &"b".into());
    for topic in 0..2_500 {
        flow.topic(&format!("t-{topic}").into()).mirrored(1, 1, None);
    }
    let text = telemetry.prometheus_text();
    let series = text.lines().filter(|line| line.starts_with("mirrormesh_mirrored_records_total{")).count();
    assert_eq!(series, 2_500);
    assert!(!text.contains("otel_metric_overflow"));
}

#[test]
fn an_overflow_of_series_is_visible() {
    let telemetry = start(false);
    let limit = observe::series_limit(false);
    let partitions = (0..=limit).map(|topic| {
        let mut partition = partition(&format!("t-{topic}"), 0, PartitionState::Streaming);
        partition.lag_records = Some(1);
        partition
    });
    let status = mesh(vec![flow("f", partitions.collect())]);
    telemetry.metrics().observe(Arc::new(move || status.clone()));
    let lines = testing::Lines::default();
    let subscriber = logs::subscriber(&spec(), false, lines.clone(), None).expect("sound");
    let text = tracing::subscriber::with_default(subscriber, || {
        telemetry.prometheus_text();
        telemetry.prometheus_text()
    });
    assert_eq!(value_of(&text, "mirrormesh_telemetry_series", &[]), Some(limit as f64 + 1.0));
    assert_eq!(value_of(&text, "mirrormesh_telemetry_series_limit", &[]), Some(limit as f64));
    assert!(text.contains("otel_metric_overflow=\"true\""));
    assert_eq!(lines.take().len(), 1, "told once, not at every scrape");
}

#[test]
fn several_meshes_in_one_process_do_not_mix() {
    let (one, two) = (start(false), start(false));
    one.metrics().flow(&"one".into(), &"a".into(), &"b".into()).positions_saved(1);
    two.metrics().flow(&"two".into(), &"a".into(), &"b".into()).positions_saved(1);
    assert!(!one.prometheus_text().contains("flow=\"two\""));
    assert!(!two.prometheus_text().contains("flow=\"one\""));
}

#[tokio::test]
async fn shutdown_lets_go_of_the_status() {
    let telemetry = start(false);
    let board = Arc::new(lagging());
    let held = Arc::downgrade(&board);
    telemetry.metrics().observe(Arc::new(move || MeshStatus::clone(&board)));
    assert!(held.upgrade().is_some());
    assert!(telemetry.shutdown(Duration::from_secs(60)).await);
    assert!(held.upgrade().is_none());
}
