//! DescribeGroups.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::super::state::{State, text};
use super::Call;

/// First version in which a group that isn't there is an error (KIP-1043).
const MISSING_SINCE: i16 = 6;

pub(super) fn answer(call: &Call, asked: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let groups =
        asked.groups.iter().map(|group| describe(call, &mut state, group).with_group_id(group.clone()));
    let groups = groups.collect();
    let answer = DescribeGroupsResponse::default().with_groups(groups);
    if call.version() >= 1 { answer.with_throttle_time_ms(throttle_ms) } else { answer }
}

fn describe(call: &Call, state: &mut State, name: &str) -> DescribedGroup {
    let answer = DescribedGroup::default();
    let refusal = if !state.denied.group(name) {
        Some(ResponseError::GroupAuthorizationFailed)
    } else if state.coordinator(name).is_none_or(|broker| broker.id != call.broker()) {
        Some(ResponseError::NotCoordinator)
    } else {
        call.fault(state, name)
    };
    if let Some(code) = refusal {
        return answer.with_error_code(code.code());
    }
    let Some(group) = state.groups.get(name) else {
        let answer = answer.with_group_state(text("Dead"));
        return match call.version() >= MISSING_SINCE {
            true => answer
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(format!("Group {name} not found.")))),
            false => answer,
        };
    };
    let member = |n: usize| DescribedGroupMember::default().with_member_id(text(format!("member-{n}")));
    answer
        .with_group_state(text(group.state()))
        .with_protocol_type(text(&group.protocol_type))
        .with_members((0..group.members).map(member).collect())
}
