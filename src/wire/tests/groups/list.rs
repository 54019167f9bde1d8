//! ListGroups: every broker is asked for its own.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup as Listed;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsResponse, MetadataResponse,
    OffsetFetchResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::model::groups::GroupState;
use crate::wire::GroupKind;
use crate::wire::testing::{Request, Scripted, nobody, offers};

/// Group, protocol type, state, type.
type ListedEntry = (&'static str, &'static str, &'static str, &'static str);

/// An answer in the request's version.
fn listing(request: &Request, entries: &[ListedEntry]) -> ListGroupsResponse {
    let groups = entries.iter().map(|(group, protocol, state, kind)| {
        let mut listed = Listed::default()
            .with_group_id(StrBytes::from_static_str(group).into())
            .with_protocol_type(StrBytes::from_static_str(protocol));
        if request.version >= 4 {
            listed.group_state = StrBytes::from_static_str(state);
        }
        if request.version >= 5 {
            listed.group_type = StrBytes::from_static_str(kind);
        }
        listed
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

/// What the standard broker answers to Metadata, with a second broker.
fn with_second_broker(request: &Request, port: u16) -> MetadataResponse {
    let mut answer = request.metadata();
    let second = MetadataResponseBroker::default().with_node_id(2.into());
    let host = answer.brokers[0].host.clone();
    answer.brokers.push(second.with_host(host).with_port(port.into()));
    answer
}

fn port(broker: &Scripted) -> u16 {
    broker.address().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn the_groups_of_all_brokers_are_told_and_their_coordinators_remembered() {
    let second = Scripted::start(|request| match request.api {
        ApiKey::ListGroups => request.answer(listing(
            request,
            &[("moving", "consumer", "Stable", "classic"), ("b", "consumer", "Assigning", "consumer")],
        )),
        ApiKey::OffsetFetch => request.answer(OffsetFetchResponse::default()),
        _ => request.standard(),
    })
    .await;
    let other = port(&second);
    let first = Scripted::start(move |request| match (request.api, request.nth) {
        (ApiKey::Metadata, _) => request.answer(with_second_broker(request, other)),
        (ApiKey::ListGroups, 0) => {
            let code = ResponseError::CoordinatorLoadInProgress.code();
            request.answer(ListGroupsResponse::default().with_error_code(code))
        }
        (ApiKey::ListGroups, _) => request.answer(listing(
            request,
            &[
                ("moving", "consumer", "Empty", "classic"),
                ("workers", "connect", "Stable", "Classic"),
                ("queue", "", "Empty", "share"),
                ("a", "", "Dead", "classic"),
            ],
        )),
        _ => request.standard(),
    })
    .await;
    let wire = first.client();
    let listing = wire.list_groups().await.unwrap();
    assert!(listing.failed.is_empty(), "{:?}", listing.failed);
    let told: Vec<_> = listing
        .groups
        .iter()
        .map(|group| {
            (group.group.as_str(), &group.state, &group.kind, group.protocol_type.as_str(), group.coordinator)
        })
        .collect();
    let active = |word: &str| GroupState::Active(word.to_owned());
    let expected = [
        ("a", &GroupState::Dead, &GroupKind::Classic, "", 1),
        ("b", &active("Assigning"), &GroupKind::Consumer, "consumer", 2),
        // Two brokers tell of it: members are not overlooked.
        ("moving", &active("Stable"), &GroupKind::Classic, "consumer", 2),
        ("queue", &GroupState::Empty, &GroupKind::Other("share".to_owned()), "", 1),
        ("workers", &active("Stable"), &GroupKind::Classic, "connect", 1),
    ];
    assert_eq!(told, expected);
    wire.committed_offsets(&["b".to_owned(), "moving".to_owned()], true).await;
    let looked_up = first.count(ApiKey::FindCoordinator) + second.count(ApiKey::FindCoordinator);
    assert_eq!((looked_up, second.count(ApiKey::OffsetFetch)), (0, 1));
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_named() {
    let (_held, dead) = nobody();
    let broker = Scripted::start(move |request| match request.api {
        ApiKey::Metadata => request.answer(with_second_broker(request, dead.port())),
        ApiKey::ListGroups => request.answer(listing(request, &[("a", "consumer", "Empty", "classic")])),
        _ => request.standard(),
    })
    .await;
    let listing = broker.client().list_groups().await.unwrap();
    assert_eq!(listing.groups.iter().map(|group| group.group.as_str()).collect::<Vec<_>>(), ["a"]);
    let [(2, error)] = &listing.failed[..] else { panic!("{:?}", listing.failed) };
    assert!(error.is_unreachable() && error.to_string().contains(&dead.to_string()), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_per_broker() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ListGroups => {
            let code = ResponseError::ClusterAuthorizationFailed.code();
            request.answer(ListGroupsResponse::default().with_error_code(code))
        }
        _ => request.standard(),
    })
    .await;
    let listing = broker.client().list_groups().await.unwrap();
    let [(1, error)] = &listing.failed[..] else { panic!("{:?}", listing.failed) };
    assert!(error.is_unauthorized() && error.to_string().contains("ListGroups"), "{error}");
    assert_eq!((listing.groups.len(), broker.count(ApiKey::ListGroups)), (0, 1));
}

#[tokio::test]
async fn states_are_asked_for_apart_before_kafka_2_6() {
    for version in [0, 3, 4] {
        let broker = Scripted::start(move |request| match request.api {
            ApiKey::ApiVersions => request.answer(offers(&[(ApiKey::ListGroups, 0, version)])),
            ApiKey::ListGroups => request.answer(listing(
                request,
                &[("a", "", "Empty", ""), ("b", "consumer", "Stable", ""), ("c", "", "Empty", "")],
            )),
            ApiKey::DescribeGroups => {
                let asked: DescribeGroupsRequest = request.decode();
                let groups = asked.groups.into_iter().rev().map(|group| {
                    let described = match group.as_str() {
                        "a" => ("Empty", 0),
                        "b" => ("Stable", 0),
                        _ => ("Dead", ResponseError::NotCoordinator.code()),
                    };
                    DescribedGroup::default()
                        .with_group_id(group)
                        .with_group_state(StrBytes::from_static_str(described.0))
                        .with_error_code(described.1)
                });
                request.answer(DescribeGroupsResponse::default().with_groups(groups.collect()))
            }
            _ => request.standard(),
        })
        .await;
        let listing = broker.client().list_groups().await.unwrap();
        let states: Vec<_> = listing.groups.iter().map(|group| group.state.clone()).collect();
        let last = if version < 4 { GroupState::Unknown } else { GroupState::Empty };
        assert_eq!(states, [GroupState::Empty, GroupState::Active("Stable".to_owned()), last]);
        assert!(listing.groups.iter().all(|group| group.kind == GroupKind::Classic));
        assert_eq!(broker.count(ApiKey::DescribeGroups), usize::from(version < 4));
    }
}
