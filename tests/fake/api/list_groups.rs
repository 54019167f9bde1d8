//! ListGroups: those that a broker coordinates.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::super::state::text;
use super::Call;

/// First version that tells states (KIP-518), and kinds (KIP-848).
const STATES_SINCE: i16 = 4;
const KINDS_SINCE: i16 = 5;
/// What a group without the new protocol is called.
const KIND: &str = "classic";

pub(super) fn answer(call: &Call, asked: &ListGroupsRequest) -> ListGroupsResponse {
    let throttle_ms = call.throttle_ms();
    let mut state = call.state();
    let answer = ListGroupsResponse::default();
    let answer = if call.version() >= 1 { answer.with_throttle_time_ms(throttle_ms) } else { answer };
    if let Some(code) = call.fault(&mut state, "") {
        return answer.with_error_code(code.code());
    }
    let wanted = |filter: &[kafka_protocol::protocol::StrBytes], word: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    let here = |group: &str| state.coordinator(group).is_some_and(|broker| broker.id == call.broker());
    let groups = state.groups.iter().filter(|(name, group)| {
        here(name)
            && state.denied.group(name)
            && wanted(&asked.states_filter, group.state())
            && wanted(&asked.types_filter, KIND)
    });
    let groups = groups.map(|(name, group)| {
        let mut listed = ListedGroup::default()
            .with_group_id(text(name).into())
            .with_protocol_type(text(&group.protocol_type));
        if call.version() >= STATES_SINCE {
            listed.group_state = text(group.state());
        }
        if call.version() >= KINDS_SINCE {
            listed.group_type = text(KIND);
        }
        listed
    });
    answer.with_groups(groups.collect())
}
