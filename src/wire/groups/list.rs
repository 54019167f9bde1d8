//! Which groups there are: ListGroups at every broker.

use std::collections::btree_map::{BTreeMap, Entry};

use futures::future::join_all;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::{DescribeGroupsRequest, ListGroupsRequest};

use super::{GroupKind, GroupListing, ListedGroup};
use crate::model::groups::GroupState;
use crate::wire::call::Call;
use crate::wire::client::Wire;
use crate::wire::connection::Connection;
use crate::wire::error::WireError;
use crate::wire::names::text;
use crate::wire::pool::Purpose;
use crate::wire::retry::Retry;

/// First version of ListGroups that tells states (KIP-518, Kafka 2.6).
const STATES_SINCE: i16 = 4;
/// Groups in one DescribeGroups request: their answers hold every member's subscription and assignment.
const DESCRIBED_AT_ONCE: usize = 50;

/// A group's state by the broker's word.
fn state(word: &str) -> GroupState {
    match word {
        "Empty" => GroupState::Empty,
        "Dead" => GroupState::Dead,
        "" | "Unknown" => GroupState::Unknown,
        other => GroupState::Active(other.to_owned()),
    }
}

/// Of two answers about a group the more careful one counts: members are not to be overlooked.
fn weight(state: &GroupState) -> u8 {
    match state {
        GroupState::Active(_) => 3,
        GroupState::Unknown => 2,
        GroupState::Empty => 1,
        GroupState::Dead => 0,
    }
}

impl GroupKind {
    fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            // Brokers before version 5 of the call have no others.
            "" | "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            _ => Self::Other(word.to_owned()),
        }
    }
}

impl Wire {
    /// Lists the groups that each broker coordinates, all brokers at once: one request per broker (before Kafka 2.6
    /// another per 50 groups, for their states).
    ///
    /// A broker that doesn't tell is named in the answer. Brokers leave out what nobody can see just now, without a
    /// word: groups that our credentials may not describe, and groups whose part of `__consumer_offsets` has no leader.
    /// Fails as a whole only when no broker tells which brokers there are. Cancel safe.
    pub async fn list_groups(&self) -> Result<GroupListing, WireError> {
        let metadata = self.metadata(Some(&[])).await?;
        let asked =
            metadata.brokers.iter().map(|broker| async { (broker.id, self.groups_at(broker.id).await) });
        let mut found = BTreeMap::new();
        let mut failed = Vec::new();
        for (broker, outcome) in join_all(asked).await {
            match outcome {
                Ok(groups) => groups.into_iter().for_each(|group| add(&mut found, group)),
                Err(error) => failed.push((broker, error)),
            }
        }
        let mut view = self.view().write();
        for group in found.values() {
            view.learn_coordinator(&group.group, group.coordinator);
        }
        Ok(GroupListing { groups: found.into_values().collect(), failed })
    }

    async fn groups_at(&self, broker: i32) -> Result<Vec<ListedGroup>, WireError> {
        let mut retry = self.retry();
        loop {
            let outcome = async {
                let connection = self.broker(broker, Purpose::Admin).await?;
                self.ask_for_groups(broker, &connection, &retry).await
            };
            match outcome.await {
                Ok(groups) => return Ok(groups),
                Err(error) => {
                    if error.is_unreachable() {
                        self.view().write().forget_address(broker);
                    }
                    retry.pause_after(error).await?;
                }
            }
        }
    }

    async fn ask_for_groups(
        &self,
        broker: i32,
        connection: &Connection,
        retry: &Retry,
    ) -> Result<Vec<ListedGroup>, WireError> {
        let version = connection.version::<ListGroupsRequest>()?;
        let answer = connection.call_in(version, retry.left(), ListGroupsRequest::default()).await?;
        if let Some(code) = answer.error_code.err() {
            return Err(self.refused(code, None).at(connection.broker()).during(ListGroupsRequest::NAME));
        }
        let listed = answer.groups.into_iter().map(|group| ListedGroup {
            group: group.group_id.to_string(),
            state: state(&group.group_state),
            kind: GroupKind::from_word(&group.group_type),
            protocol_type: group.protocol_type.to_string(),
            coordinator: broker,
        });
        let mut groups: Vec<_> = listed.collect();
        if version < STATES_SINCE {
            for some in groups.chunks_mut(DESCRIBED_AT_ONCE) {
                describe(some, connection, retry).await?;
            }
        }
        Ok(groups)
    }
}

/// Asks for the groups' states. One that the broker doesn't tell stays unknown.
async fn describe(
    groups: &mut [ListedGroup],
    connection: &Connection,
    retry: &Retry,
) -> Result<(), WireError> {
    let names = groups.iter().map(|group| text(&group.group).into()).collect();
    let request = DescribeGroupsRequest::default().with_groups(names);
    let answer = connection.call(retry.left(), |_| request).await?;
    let states: BTreeMap<&str, &str> = answer
        .groups
        .iter()
        .filter(|described| described.error_code.err().is_none())
        .map(|described| (described.group_id.as_str(), described.group_state.as_str()))
        .collect();
    for group in groups {
        group.state = state(states.get(group.group.as_str()).unwrap_or(&""));
    }
    Ok(())
}

/// A group that moves between brokers just now may be told by both.
fn add(found: &mut BTreeMap<String, ListedGroup>, group: ListedGroup) {
    match found.entry(group.group.clone()) {
        Entry::Vacant(place) => {
            place.insert(group);
        }
        Entry::Occupied(mut known) => {
            if weight(&group.state) > weight(&known.get().state) {
                known.insert(group);
            }
        }
    }
}
