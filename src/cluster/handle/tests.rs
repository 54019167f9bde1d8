use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::*;
use crate::wire::testing::{Reply, Request, Scripted, place, settings};
use crate::wire::{ApiKey, ResponseError};

/// The end of every topic is 42, but `orphan` has no leader.
fn ends(request: &Request) -> Reply {
    let asked: ListOffsetsRequest = request.decode();
    let topics = asked.topics.into_iter().map(|topic| {
        let answer = ListOffsetsPartitionResponse::default();
        let answer = match topic.name.as_str() {
            "orphan" => answer.with_error_code(ResponseError::NotLeaderOrFollower.code()),
            _ => answer.with_offset(42),
        };
        ListOffsetsTopicResponse::default().with_partitions(vec![answer]).with_name(topic.name)
    });
    request.answer(ListOffsetsResponse::default().with_topics(topics.collect()))
}

#[tokio::test]
async fn a_partition_without_a_leader_does_not_hold_up_the_look_at_all_ends() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::ListOffsets => ends(request),
        _ => request.standard(),
    })
    .await;
    let cluster =
        ClusterHandle::new("east".into(), settings(&broker.address())).expect("the settings are sound");
    for topic in ["orphan", "orders"] {
        cluster.observe(Isolation::ReadCommitted, place(topic));
    }
    cluster.refresh_ends().await.expect("the cluster answers");
    let seen = cluster.ends().borrow().clone();
    assert_eq!(*seen, Ends::from([((Isolation::ReadCommitted, place("orders")), 42)]));
    assert_eq!(broker.count(ApiKey::ListOffsets), 1, "what has no leader is asked about at the next look");
}
