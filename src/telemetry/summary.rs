//! A status snapshot folded into the series that the gauges show. Pure.

use std::collections::BTreeMap;

use crate::model::groups::GroupsSummary;
use crate::model::status::{ClusterState, FlowState, MeshStatus, PartitionState, PartitionStatus};
use crate::model::{Alias, FlowName, PathText, TopicName};

/// Every state a flow can be in, with its label.
pub(super) const FLOW_STATES: [(FlowState, &str); 6] = [
    (FlowState::Starting, "starting"),
    (FlowState::Running, "running"),
    (FlowState::Waiting, "waiting"),
    (FlowState::Faulted, "faulted"),
    (FlowState::Draining, "draining"),
    (FlowState::Stopped, "stopped"),
];

/// Every state a partition can be in.
pub(super) const PARTITION_STATES: [PartitionState; 7] = [
    PartitionState::Resolving,
    PartitionState::Streaming,
    PartitionState::Paused,
    PartitionState::Waiting,
    PartitionState::Faulted,
    PartitionState::Draining,
    PartitionState::Stopped,
];

/// What the gauges show.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub in_flight_bytes: u64,
    pub budget_bytes: u64,
    pub offset_maps_bytes: u64,
    pub offset_maps_limit_bytes: u64,
    pub clusters: Vec<ClusterRow>,
    pub heartbeats: Vec<HeartbeatRow>,
    pub flows: Vec<FlowRow>,
    pub lags: Vec<LagRow>,
}

/// One cluster.
#[derive(Debug, PartialEq)]
pub(super) struct ClusterRow {
    pub alias: Alias,
    pub reachable: bool,
    pub catalogue_age_ms: Option<i64>,
    pub throttled_ms: BTreeMap<String, u64>,
}

/// One way by which an upstream's heartbeats reach a cluster.
#[derive(Debug, PartialEq)]
pub(super) struct HeartbeatRow {
    pub cluster: Alias,
    pub upstream: Alias,
    pub path: String,
    pub age_ms: i64,
}

/// One flow.
#[derive(Debug, PartialEq)]
pub(super) struct FlowRow {
    pub name: FlowName,
    pub from: Alias,
    pub to: Alias,
    pub state: FlowState,
    /// Partitions by state, in the order of [`PARTITION_STATES`].
    pub partitions: [u64; PARTITION_STATES.len()],
    /// Topics that are not mirrored because of a fault of their own.
    pub faulted_topics: u64,
    pub positions_age_ms: Option<i64>,
    pub session_generation: u64,
    /// Its consumer groups, once they were read.
    pub groups: Option<GroupsSummary>,
}

/// Lag of a flow's topic, or of one of its partitions.
#[derive(Debug, PartialEq)]
pub(super) struct LagRow {
    pub flow: FlowName,
    pub from: Alias,
    pub to: Alias,
    pub topic: TopicName,
    pub partition: Option<i32>,
    /// Sum over the partitions whose lag is known; `None` when none is.
    pub records: Option<i64>,
    /// Largest of the partitions; `None` when none is known.
    pub age_ms: Option<i64>,
}

impl Summary {
    /// Folds a snapshot: lag per flow and topic, or per partition when `per_partition`.
    pub(super) fn of(status: &MeshStatus, per_partition: bool) -> Self {
        let mut summary = Self {
            in_flight_bytes: status.in_flight_bytes,
            budget_bytes: status.budget_bytes,
            offset_maps_bytes: status.offset_maps_bytes,
            offset_maps_limit_bytes: status.offset_maps_limit_bytes,
            ..Self::default()
        };
        for cluster in &status.clusters {
            summary.clusters.push(ClusterRow {
                alias: cluster.alias.clone(),
                reachable: cluster.state == ClusterState::Reachable,
                catalogue_age_ms: cluster.catalogue_age_ms,
                throttled_ms: cluster.throttled_ms.clone(),
            });
            summary.heartbeats.extend(cluster.upstreams.iter().map(|upstream| HeartbeatRow {
                cluster: cluster.alias.clone(),
                upstream: upstream.alias.clone(),
                path: PathText(&upstream.path).to_string(),
                age_ms: upstream.age_ms,
            }));
        }
        for flow in &status.flows {
            let mut states = [0; PARTITION_STATES.len()];
            let mut lags: BTreeMap<(&TopicName, Option<i32>), Lag> = BTreeMap::new();
            for partition in &flow.partitions {
                for (count, state) in states.iter_mut().zip(PARTITION_STATES) {
                    *count += u64::from(partition.state == state);
                }
                let key = (&partition.topic, per_partition.then_some(partition.partition));
                lags.entry(key).or_default().add(partition);
            }
            summary.lags.extend(lags.into_iter().map(|((topic, partition), lag)| LagRow {
                flow: flow.name.clone(),
                from: flow.from.clone(),
                to: flow.to.clone(),
                topic: topic.clone(),
                partition,
                records: lag.records,
                age_ms: lag.age_ms,
            }));
            summary.flows.push(FlowRow {
                name: flow.name.clone(),
                from: flow.from.clone(),
                to: flow.to.clone(),
                state: flow.state,
                partitions: states,
                faulted_topics: flow.topics.iter().map(|topic| u64::from(topic.fault.is_some())).sum(),
                positions_age_ms: flow.positions_age_ms,
                session_generation: flow.session_generation.0,
                groups: flow.groups.clone(),
            });
        }
        summary
    }
}

/// Lag of one row while it is folded.
#[derive(Default)]
struct Lag {
    records: Option<i64>,
    age_ms: Option<i64>,
}

impl Lag {
    fn add(&mut self, partition: &PartitionStatus) {
        if let Some(lag) = partition.lag_records {
            self.records = Some(self.records.unwrap_or(0).saturating_add(lag));
        }
        self.age_ms = self.age_ms.max(partition.lag_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::{flow, mesh, partition};

    #[test]
    fn lag_is_summed_in_records_and_the_largest_in_time() {
        let mut a = partition("orders", 0, PartitionState::Streaming);
        (a.lag_records, a.lag_ms) = (Some(7), Some(100));
        let mut b = partition("orders", 1, PartitionState::Faulted);
        (b.lag_records, b.lag_ms) = (Some(5), Some(900));
        let unknown = partition("orders", 2, PartitionState::Resolving);
        let status = mesh(vec![flow("east-west", vec![a, b, unknown])]);

        let summary = Summary::of(&status, false);
        assert_eq!(summary.lags.len(), 1);
        assert_eq!((summary.lags[0].records, summary.lags[0].age_ms), (Some(12), Some(900)));
        assert_eq!(summary.flows[0].partitions, [1, 1, 0, 0, 1, 0, 0]);

        let each = Summary::of(&status, true);
        let rows: Vec<_> = each.lags.iter().map(|row| (row.partition, row.records)).collect();
        assert_eq!(rows, [(Some(0), Some(7)), (Some(1), Some(5)), (Some(2), None)]);
    }

    #[test]
    fn unknown_lag_is_not_zero_lag() {
        let status = mesh(vec![flow("f", vec![partition("t", 0, PartitionState::Resolving)])]);
        let summary = Summary::of(&status, false);
        assert_eq!((summary.lags[0].records, summary.lags[0].age_ms), (None, None));
    }

    #[test]
    fn every_state_has_a_place() {
        for state in PARTITION_STATES {
            let status = mesh(vec![flow("f", vec![partition("t", 0, state)])]);
            assert_eq!(Summary::of(&status, false).flows[0].partitions.iter().sum::<u64>(), 1, "{state:?}");
        }
        for (state, name) in FLOW_STATES {
            assert_eq!(serde_json::to_value(state).expect("plain"), name);
        }
    }
}
