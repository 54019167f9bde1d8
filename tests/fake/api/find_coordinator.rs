//! FindCoordinator, of groups.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::super::state::{State, text};
use super::Call;

/// First version that takes many keys (KIP-699).
const MANY_KEYS_SINCE: i16 = 4;
/// The kind of key that is a group.
const GROUP: i8 = 0;

pub(super) fn answer(call: &Call, asked: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let answer = FindCoordinatorResponse::default();
    if call.version() >= MANY_KEYS_SINCE {
        let found = asked.coordinator_keys.iter();
        let found = found.map(|key| find(call, &mut state, key, asked.key_type).with_key(key.clone()));
        let found = found.collect();
        return answer.with_throttle_time_ms(throttle_ms).with_coordinators(found);
    }
    let found = find(call, &mut state, &asked.key, asked.key_type);
    let mut answer = answer
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    if call.version() >= 1 {
        (answer.throttle_time_ms, answer.error_message) = (throttle_ms, found.error_message);
    }
    answer
}

fn find(call: &Call, state: &mut State, group: &str, key_type: i8) -> Coordinator {
    let refusal = if key_type != GROUP {
        Some(ResponseError::UnsupportedVersion)
    } else if !state.denied.group(group) {
        Some(ResponseError::GroupAuthorizationFailed)
    } else {
        call.fault(state, group)
    };
    let found = match refusal {
        Some(code) => Err(code),
        None => state.coordinator(group).ok_or(ResponseError::CoordinatorNotAvailable),
    };
    match found {
        Ok(broker) => Coordinator::default()
            .with_node_id(broker.id.into())
            .with_host(text(broker.address.ip().to_string()))
            .with_port(broker.address.port().into())
            .with_error_message(Some(text(""))),
        Err(code) => Coordinator::default()
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(text(code.to_string()))),
    }
}
