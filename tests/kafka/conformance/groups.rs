//! Consumer groups.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use super::Subject;
use super::raw::{Raw, text};
use crate::common::wait_for;

const UNKNOWN_TOPIC: i16 = 3;
const METADATA_TOO_LARGE: i16 = 12;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER: i16 = 25;
const GROUP_NOT_FOUND: i16 = 69;

fn commit(group: &str, offsets: &[(&str, i32, i64, &str)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, partition, offset, metadata)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(4)
            .with_committed_metadata(Some(text(metadata)));
        OffsetCommitRequestTopic::default().with_name(text(topic).into()).with_partitions(vec![partition])
    });
    OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(topics.collect())
}

/// Commits, and tells the codes.
async fn committed(raw: &mut Raw, version: i16, asked: &OffsetCommitRequest) -> Vec<i16> {
    let answer = raw.ask(version, asked).await;
    answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).collect()
}

/// The name of a group that no other case uses, once its coordinator is ready.
async fn group(subject: &Subject, raw: &mut Raw, name: &str) -> String {
    let group = subject.name(name);
    // The first question for a coordinator makes Kafka's own topic.
    wait_for("the coordinator to be there", async || {
        let asked = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&group)]);
        let found = raw.ask(6, &asked).await.coordinators.remove(0);
        let asked = OffsetFetchRequestGroup::default().with_group_id(text(&group).into()).with_topics(None);
        let answer = raw.ask(8, &OffsetFetchRequest::default().with_groups(vec![asked])).await;
        match (found.error_code, answer.groups[0].error_code) {
            (0, 0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    group
}

/// Topic, partition, offset, epoch, text and code of all that a group has, or of what is asked.
async fn offsets(
    raw: &mut Raw,
    group: &str,
    asked: Option<&[(&str, i32)]>,
) -> Vec<(String, i32, i64, i32, String, i16)> {
    let topics = asked.map(|asked| {
        let topics = asked.iter().map(|(topic, partition)| {
            OffsetFetchRequestTopics::default()
                .with_name(text(topic).into())
                .with_partition_indexes(vec![*partition])
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup::default().with_group_id(text(group).into()).with_topics(topics);
    let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
    let group = raw.ask(8, &request).await.groups.remove(0);
    assert_eq!(group.error_code, 0);
    let found = group.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|part| {
            let metadata = part.metadata.as_ref().map(|text| text.to_string()).unwrap_or_default();
            let (offset, epoch) = (part.committed_offset, part.committed_leader_epoch);
            (topic.name.to_string(), part.partition_index, offset, epoch, metadata, part.error_code)
        })
    });
    found.collect()
}

/// Type and state of a group, as it is listed.
async fn listed(raw: &mut Raw, group: &str, states: &[&str]) -> Option<(String, String, String)> {
    let asked =
        ListGroupsRequest::default().with_states_filter(states.iter().map(|state| text(state)).collect());
    let answer = raw.ask(5, &asked).await;
    assert_eq!(answer.error_code, 0);
    let found = answer.groups.into_iter().find(|listed| listed.group_id.as_str() == group)?;
    let kind = found.group_type.to_string();
    Some((found.protocol_type.to_string(), found.group_state.to_string(), kind))
}

pub(super) async fn a_group_that_is_not_there_has_nothing(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let group = group(subject, &mut raw, "nobody").await;
    assert_eq!(offsets(&mut raw, &group, None).await, []);
    let found = offsets(&mut raw, &group, Some(&[(&topic, 0)])).await;
    assert_eq!(found, [(topic, 0, -1, -1, String::new(), 0)]);
    assert_eq!(listed(&mut raw, &group, &[]).await, None);
    for (version, code) in [(5, 0), (6, GROUP_NOT_FOUND)] {
        let asked = DescribeGroupsRequest::default().with_groups(vec![text(&group).into()]);
        let answer = raw.ask(version, &asked).await;
        let told = &answer.groups[0];
        assert_eq!((told.error_code, told.group_state.as_str()), (code, "Dead"), "version {version}");
        assert_eq!(told.group_id.as_str(), group);
    }
}

pub(super) async fn a_commit_makes_a_group(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(2, &[]).await);
    let group = group(subject, &mut raw, "made").await;
    let asked = commit(&group, &[(&topic, 0, 5, "a text"), (&topic, 1, 0, "")]);
    for version in [2, 7, 9] {
        let mut asked = asked.clone();
        if version < 6 {
            asked.topics.iter_mut().for_each(|topic| topic.partitions[0].committed_leader_epoch = -1);
        }
        assert_eq!(committed(&mut raw, version, &asked).await, [0, 0], "version {version}");
    }
    let mut found = offsets(&mut raw, &group, None).await;
    found.sort();
    let expected = [(topic.clone(), 0, 5, 4, "a text".to_owned(), 0), (topic, 1, 0, 4, String::new(), 0)];
    assert_eq!(found, expected);
    let asked = DescribeGroupsRequest::default().with_groups(vec![text(&group).into()]);
    let told = raw.ask(5, &asked).await.groups.remove(0);
    assert_eq!((told.error_code, told.group_state.as_str(), told.members.len()), (0, "Empty", 0));
}

pub(super) async fn a_commit_of_a_generation_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let group = group(subject, &mut raw, "generation").await;
    let mut asked = commit(&group, &[(&topic, 0, 5, "")]).with_generation_id_or_member_epoch(3);
    asked.member_id = text("somebody");
    assert_eq!(committed(&mut raw, 8, &asked).await, [ILLEGAL_GENERATION]);
    assert_eq!(committed(&mut raw, 9, &asked).await, [GROUP_NOT_FOUND]);
    assert_eq!(committed(&mut raw, 9, &commit(&group, &[(&topic, 0, 5, "")])).await, [0]);
    assert_eq!(committed(&mut raw, 8, &asked).await, [UNKNOWN_MEMBER]);
}

pub(super) async fn a_commit_that_can_not_be_kept_is_refused(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let group = group(subject, &mut raw, "partial").await;
    let (missing, long) = (subject.name("missing"), "x".repeat(4_097));
    let wanted = [(&*missing, 0, 1, ""), (&*topic, 0, 2, &long[1..]), (&*topic, 1, 3, "")];
    let answer = raw.ask(9, &commit(&group, &wanted)).await;
    let mut codes: Vec<_> = answer
        .topics
        .iter()
        .flat_map(|told| {
            told.partitions.iter().map(|p| (told.name.as_str() == topic, p.partition_index, p.error_code))
        })
        .collect();
    codes.sort();
    assert_eq!(codes, [(false, 0, UNKNOWN_TOPIC), (true, 0, 0), (true, 1, UNKNOWN_TOPIC)]);
    let codes = committed(&mut raw, 9, &commit(&group, &[(&topic, 0, 9, &long)])).await;
    assert_eq!(codes, [METADATA_TOO_LARGE]);
    let found = offsets(&mut raw, &group, None).await;
    assert_eq!(found.iter().map(|found| found.2).collect::<Vec<_>>(), [2]);
}

pub(super) async fn groups_are_listed_by_state(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let group = group(subject, &mut raw, "listed").await;
    assert_eq!(committed(&mut raw, 9, &commit(&group, &[(&topic, 0, 1, "")])).await, [0]);
    let empty = Some((String::new(), "Empty".to_owned(), "classic".to_owned()));
    assert_eq!(listed(&mut raw, &group, &[]).await, empty);
    assert_eq!(listed(&mut raw, &group, &["Empty", "Dead"]).await, empty);
    assert_eq!(listed(&mut raw, &group, &["Stable"]).await, None);
    let of_kind = |kind| ListGroupsRequest::default().with_types_filter(vec![text(kind)]);
    for (kind, there) in [("classic", true), ("consumer", false)] {
        let answer = raw.ask(5, &of_kind(kind)).await;
        assert_eq!(answer.groups.iter().any(|listed| listed.group_id.as_str() == group), there, "{kind}");
    }
}

pub(super) async fn groups_with_members_refuse_commits(subject: &Subject) {
    let (mut raw, topic) = (subject.raw().await, subject.topic(1, &[]).await);
    let group = group(subject, &mut raw, "members").await;
    let member = subject.join(&group, &topic).await;
    let stable = Some(("consumer".to_owned(), "Stable".to_owned(), "classic".to_owned()));
    wait_for("the group to be stable", async || match listed(&mut raw, &group, &[]).await {
        seen if seen == stable => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let ours = commit(&group, &[(&topic, 0, 5, "")]);
    assert_eq!(committed(&mut raw, 9, &ours).await, [UNKNOWN_MEMBER]);
    assert_eq!(offsets(&mut raw, &group, None).await, []);
    subject.leave(member).await;
    wait_for("the group to be empty", async || match listed(&mut raw, &group, &["Empty"]).await {
        Some(_) => Ok(()),
        None => Err("not yet".to_owned()),
    })
    .await;
    assert_eq!(committed(&mut raw, 9, &ours).await, [0]);
}

pub(super) async fn coordinators_are_found(subject: &Subject) {
    let mut raw = subject.raw().await;
    let (one, other) = (subject.name("one"), subject.name("other"));
    let port: i32 = subject.bootstrap.rsplit(':').next().unwrap().parse().unwrap();
    let found = wait_for("a coordinator", async || {
        let asked = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(&one), text(&other)]);
        let found: Vec<Coordinator> = raw.ask(6, &asked).await.coordinators;
        match found.iter().all(|found| found.error_code == 0) {
            true => Ok(found),
            false => Err(format!("{found:?}")),
        }
    })
    .await;
    let keys: Vec<_> = found.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, [&one, &other]);
    assert!(found.iter().all(|found| (found.node_id.0, found.port) == (1, port)), "{found:?}");
    let answer = raw.ask(1, &FindCoordinatorRequest::default().with_key(text(&one))).await;
    assert_eq!((answer.error_code, answer.node_id.0, answer.port), (0, 1, port));
}
