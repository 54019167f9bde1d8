//! DescribeCluster: brokers, and what may be done with the cluster.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::super::rights::Right;
use super::super::state::text;
use super::Call;

pub(super) fn answer(call: &Call, asked: &DescribeClusterRequest) -> DescribeClusterResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let answer = DescribeClusterResponse::default().with_throttle_time_ms(throttle_ms);
    if let Some(code) = call.fault(&mut state, "") {
        return answer.with_error_code(code.code());
    }
    // Controllers, the other kind of endpoint, are not asked here.
    if call.version() >= 1 && asked.endpoint_type != 1 {
        return answer.with_error_code(ResponseError::MismatchedEndpointType.code());
    }
    let brokers = state.up().map(|broker| {
        DescribeClusterBroker::default()
            .with_broker_id(broker.id.into())
            .with_host(text(broker.address.ip().to_string()))
            .with_port(broker.address.port().into())
            .with_rack(broker.rack.clone().map(text))
    });
    let answer = answer
        .with_cluster_id(text(state.cluster_id.clone()))
        .with_controller_id(state.controller().into())
        .with_brokers(brokers.collect());
    if !asked.include_cluster_authorized_operations {
        return answer;
    }
    let bits = if state.denied.cluster(Right::Describe) { state.denied.cluster_bits() } else { 0 };
    answer.with_cluster_authorized_operations(bits)
}
