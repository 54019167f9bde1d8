//! The status as JSON: programs read it, ours too.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::model::TopicPartition;
use crate::model::groups::{GroupPartitionStatus, GroupRefusal, GroupStatus, RefusalReason, Worth};
use crate::model::job::{JobState, JobStatus, RunsIn};

fn cluster() -> ClusterStatus {
    ClusterStatus {
        alias: "west".into(),
        state: ClusterState::Refused,
        reason: Some("wrong password".to_owned()),
        cluster_id: Some("5L6g3nShT-eMCtK--X86sw".to_owned()),
        brokers: 3,
        topics: 12,
        catalogue_age_ms: Some(2_000),
        throttled_ms: BTreeMap::from([("Fetch".to_owned(), 1_500), ("Produce".to_owned(), 20)]),
        upstreams: vec![UpstreamStatus {
            alias: "east".into(),
            path: vec!["east".into(), "west".into()],
            hops: 1,
            age_ms: 900,
        }],
    }
}

fn partition() -> PartitionStatus {
    PartitionStatus {
        topic: "orders".into(),
        partition: 4,
        state: PartitionState::Faulted,
        reason: Some("record too large".to_owned()),
        fault: Some(FaultKind::RecordTooLarge),
        retry_at_ms: Some(1_700_000_030_000),
        generation: Generation(2),
        source_next: Some(100),
        target_next: Some(90),
        source_end: Some(120),
        lag_records: Some(20),
        lag_ms: Some(3_000),
        records: 7,
        bytes: 700,
        latency_ms: Some(15),
        in_flight_bytes: 1_024,
    }
}

/// A status in which nothing is left out.
fn full() -> MeshStatus {
    let refused = Fault::new(FaultKind::TargetMissing, "west refuses east.audit", "grant CREATE");
    let flow = FlowStatus {
        name: "east-west".into(),
        from: "east".into(),
        to: "west".into(),
        state: FlowState::Waiting,
        reason: Some("west does not answer".to_owned()),
        engine: "passthrough".to_owned(),
        engine_reason: "nothing in the flow looks into records".to_owned(),
        session_generation: Generation(3),
        positions_age_ms: Some(750),
        groups: Some(GroupsSummary {
            groups: 3,
            partitions: 9,
            refused: 1,
            checkpoint_age_ms: Some(4_500),
            damaged_checkpoints: 2,
            redelivery: 120,
        }),
        jobs: vec![JobStatus {
            name: "consumer groups".to_owned(),
            state: JobState::Failing,
            reason: Some("west does not answer".to_owned()),
            runs_in: RunsIn::FlowOwner,
            interval_ms: 60_000,
            last_ms: Some(1_700_000_000_000),
        }],
        topics: vec![TopicStatus {
            topic: "audit".into(),
            remote: "east.audit".into(),
            partitions: 6,
            fault: Some(refused),
        }],
        partitions: vec![partition()],
    };
    MeshStatus {
        mesh: "shop".to_owned(),
        process: "process-1".to_owned(),
        version: "1.2.3".to_owned(),
        started_ms: 1_700_000_000_000,
        draining: true,
        in_flight_bytes: 4_096,
        budget_bytes: 100_663_296,
        offset_maps_bytes: 2_048,
        offset_maps_limit_bytes: 268_435_456,
        clusters: vec![cluster()],
        flows: vec![flow],
    }
}

fn group() -> GroupStatus {
    let refused =
        GroupRefusal { reason: RefusalReason::TargetOwns, detail: "it worked on the target".to_owned() };
    GroupStatus {
        group: "billing".to_owned(),
        source_state: "stable".to_owned(),
        target_state: "absent".to_owned(),
        partitions: vec![GroupPartitionStatus {
            source: TopicPartition::new("orders", 0),
            target: TopicPartition::new("east.orders", 0),
            source_offset: Some(110),
            source_lag: Some(40),
            translated: Some(10),
            worth: Some(Worth::EarliestSafe),
            target_offset: Some(8),
            target_lag: Some(42),
            redelivery: Some(2),
            refused: Some(refused.clone()),
        }],
        last_sync_ms: Some(1_700_000_000_000),
        refused: Some(refused),
    }
}

/// Whether a value's JSON is `golden`, byte for byte, and comes back as the same value.
fn is_golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, golden: &str) {
    assert_eq!(serde_json::to_string_pretty(value).unwrap(), golden.trim_end());
    assert_eq!(&serde_json::from_str::<T>(golden).unwrap(), value);
}

#[test]
fn the_whole_status_goes_to_json_and_comes_back() {
    is_golden(&full(), include_str!("golden.json"));
    is_golden(&group(), include_str!("golden_group.json"));
}

#[test]
fn what_is_not_there_is_null_and_comes_back() {
    let partition = PartitionStatus {
        reason: None,
        fault: None,
        retry_at_ms: None,
        source_next: None,
        target_next: None,
        source_end: None,
        lag_records: None,
        lag_ms: None,
        latency_ms: None,
        ..partition()
    };
    let json = serde_json::to_value(&partition).unwrap();
    assert_eq!((&json["fault"], &json["lag_ms"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(serde_json::from_value::<PartitionStatus>(json).unwrap(), partition);
}

/// What a program of a later version adds is passed over.
#[test]
fn fields_of_later_versions_are_passed_over() {
    let mut json = serde_json::to_value(full()).unwrap();
    json["later"] = serde_json::json!([{ "name": "x" }]);
    assert_eq!(serde_json::from_value::<MeshStatus>(json).unwrap(), full());
}

/// Metrics and tables say the same words as JSON.
#[test]
fn labels_are_the_words_of_the_json() {
    fn word<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, label: &str) {
        let json = serde_json::to_value(&value).unwrap();
        assert_eq!(json, label);
        assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
    }
    for kind in FaultKind::ALL {
        word(kind, kind.as_str());
    }
    for reason in RefusalReason::ALL {
        word(reason, reason.as_str());
    }
    for worth in [Worth::Exact, Worth::EarliestSafe, Worth::Unknown] {
        word(worth, worth.as_str());
    }
    for state in [
        PartitionState::Resolving,
        PartitionState::Streaming,
        PartitionState::Paused,
        PartitionState::Waiting,
        PartitionState::Faulted,
        PartitionState::Draining,
        PartitionState::Stopped,
    ] {
        word(state, state.as_str());
    }
}
