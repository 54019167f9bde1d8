//! Consumer groups: listed, read, and committed for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use mirrormesh::model::TopicPartition;
use mirrormesh::model::groups::{Committed, GroupState};
use mirrormesh::wire::{CommittedOffset, GroupCommit, GroupKind, ListedGroup, Wire, WireError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::security::{client, guarded, login};
use super::{new_topic, wire};
use crate::common::{Cluster, KafkaClient, Listener, Protocol, blocking, pair, topic, wait_for};

/// How long one call of the transactional producer may take.
const CALL: Duration = Duration::from_secs(30);

/// What a group committed, by partition: offset and text.
type Texts = BTreeMap<TopicPartition, (i64, String)>;

fn commit(group: &str, offsets: &[(&str, i32, i64, &str)]) -> GroupCommit {
    let offset = |(topic, partition, offset, text): &(&str, i32, i64, &str)| {
        (TopicPartition::new(*topic, *partition), *offset, (*text).to_owned())
    };
    GroupCommit { group: group.to_owned(), offsets: offsets.iter().map(offset).collect() }
}

async fn listed(wire: &Wire, group: &str) -> Option<ListedGroup> {
    let listing = wire.list_groups().await.unwrap();
    assert!(listing.failed.is_empty(), "{:?}", listing.failed);
    listing.groups.into_iter().find(|listed| listed.group == group)
}

async fn read(wire: &Wire, group: &str, require_stable: bool) -> Result<Vec<CommittedOffset>, WireError> {
    let mut answers = wire.committed_offsets(&[group.to_owned()], require_stable).await;
    answers.remove(group).unwrap()
}

/// All offsets of a group, which are all stable.
fn texts(offsets: &[CommittedOffset]) -> Texts {
    let text = |offset: &CommittedOffset| {
        let Committed { offset: at, metadata, .. } = offset.committed.clone().unwrap();
        (offset.partition.clone(), (at, metadata))
    };
    offsets.iter().map(text).collect()
}

/// Commits for one group, all partitions well.
async fn commit_well(wire: &Wire, commit: GroupCommit) {
    for (group, outcome) in wire.commit_offsets(vec![commit]).await {
        for (partition, result) in outcome.unwrap_or_else(|error| panic!("{group}: {error}")) {
            result.unwrap_or_else(|error| panic!("{group}: {partition}: {error}"));
        }
    }
}

/// A name that no other test uses.
fn group(name: &str) -> String {
    topic(name)
}

#[tokio::test]
async fn groups_of_both_protocols_are_listed_read_and_left_alone_while_they_have_members() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let orders = topic("grouped");
    wire.create_topic(&new_topic(&orders, 2, &[]), false).await.unwrap();
    for (protocol, kind) in
        [(Protocol::Classic, GroupKind::Classic), (Protocol::Consumer, GroupKind::Consumer)]
    {
        let name = group("members");
        let member = east.client().join(&name, &orders, protocol).await;
        let seen = wait_for("the group to be stable", async || match listed(&wire, &name).await {
            Some(seen) if seen.state == GroupState::Active("Stable".to_owned()) => Ok(seen),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!((&seen.kind, seen.protocol_type.as_str(), seen.coordinator), (&kind, "consumer", 1));

        let commits =
            vec![commit(&name, &[(&orders, 0, 5, "ours")]), commit(&group("free"), &[(&orders, 0, 5, "")])];
        let outcomes = wire.commit_offsets(commits).await;
        let error = outcomes[0].1.as_ref().unwrap_err();
        assert!(error.is_unknown_member() && error.to_string().contains(&name), "{error}");
        assert!(outcomes[1].1.as_ref().unwrap()[0].1.is_ok());
        assert!(read(&wire, &name, true).await.unwrap().is_empty());

        member.leave().await;
        wait_for("the group to be empty", async || match listed(&wire, &name).await {
            Some(ListedGroup { state: GroupState::Empty, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        commit_well(&wire, commit(&name, &[(&orders, 1, 7, "after it left")])).await;
        let expected = Texts::from([(TopicPartition::new(&*orders, 1), (7, "after it left".to_owned()))]);
        assert_eq!(texts(&read(&wire, &name, true).await.unwrap()), expected);
        assert_eq!(east.client().committed(&name, &orders).await, [None, Some(7)]);
    }
}

#[tokio::test]
async fn a_group_is_made_by_a_commit_and_found_with_all_that_others_committed() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let (orders, name) = (topic("committed"), group("simple"));
    wire.create_topic(&new_topic(&orders, 3, &[]), false).await.unwrap();
    assert!(listed(&wire, &name).await.is_none());
    assert!(read(&wire, &name, true).await.unwrap().is_empty());

    let missing = topic("missing");
    let offsets = [(&*orders, 0, 5, "a text"), (&*missing, 0, 1, ""), (&*orders, 2, 0, "")];
    let outcomes = wire.commit_offsets(vec![commit(&name, &offsets)]).await;
    let results = outcomes[0].1.as_ref().unwrap();
    assert!(results[0].1.is_ok() && results[2].1.is_ok(), "{results:?}");
    let error = results[1].1.as_ref().unwrap_err();
    assert!(error.is_unknown_topic() && error.to_string().contains(&missing), "{error}");

    let seen = listed(&wire, &name).await.unwrap();
    assert_eq!(
        (seen.state, seen.kind, seen.protocol_type.as_str()),
        (GroupState::Empty, GroupKind::Classic, "")
    );
    let place = |partition| TopicPartition::new(&*orders, partition);
    let mut expected = Texts::from([(place(0), (5, "a text".to_owned())), (place(2), (0, String::new()))]);
    let offsets = read(&wire, &name, true).await.unwrap();
    assert_eq!(texts(&offsets), expected);
    assert!(offsets.iter().all(|offset| offset.committed.as_ref().unwrap().leader_epoch == -1));

    east.client().commit(&name, &[(&orders, 1, 9, "of another"), (&orders, 2, 4, "")]).await;
    expected.insert(place(1), (9, "of another".to_owned()));
    expected.insert(place(2), (4, String::new()));
    assert_eq!(texts(&read(&wire, &name, true).await.unwrap()), expected);
}

/// A transaction that has committed an offset for a group, and is not over.
async fn begin_commit(client: &KafkaClient, group: &str, topic: &str, offset: i64) -> BaseProducer {
    let (client, group, topic) = (client.clone(), group.to_owned(), topic.to_owned());
    blocking(move || {
        let consumer: BaseConsumer = client.config().set("group.id", &group).create().unwrap();
        let member = consumer.group_metadata().unwrap();
        let producer: BaseProducer = client.config().set("transactional.id", &group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        producer.init_transactions(CALL).unwrap();
        producer.begin_transaction().unwrap();
        producer.send_offsets_to_transaction(&list, &member, CALL).unwrap();
        producer
    })
    .await
}

#[tokio::test]
async fn an_offset_in_an_open_transaction_is_unstable_and_the_others_are_told() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let (orders, name) = (topic("unstable"), group("transacting"));
    wire.create_topic(&new_topic(&orders, 2, &[]), false).await.unwrap();
    commit_well(&wire, commit(&name, &[(&orders, 0, 3, ""), (&orders, 1, 4, "")])).await;
    let offset_of = |offsets: Vec<CommittedOffset>, partition| {
        let mut found = offsets.into_iter().filter(|offset| offset.partition.partition == partition);
        found.next().unwrap().committed.map(|committed| committed.offset)
    };
    for (offset, ends_well, expected) in [(5, true, 5), (6, false, 5)] {
        let producer = begin_commit(east.client(), &name, &orders, offset).await;
        let offsets = read(&wire, &name, true).await.unwrap();
        assert_eq!(offset_of(offsets.clone(), 1).unwrap(), 4);
        let error = offset_of(offsets, 0).unwrap_err();
        assert!(error.is_unstable_offset() && error.to_string().contains(&format!("{orders}-0")), "{error}");
        // The last stable one, for those who don't mind.
        let last = if ends_well { 3 } else { 5 };
        assert_eq!(offset_of(read(&wire, &name, false).await.unwrap(), 0).unwrap(), last);
        blocking(move || match ends_well {
            true => producer.commit_transaction(CALL).unwrap(),
            false => producer.abort_transaction(CALL).unwrap(),
        })
        .await;
        // The producer is told of the end before its marker is written.
        wait_for("the transaction to be over", async || {
            match offset_of(read(&wire, &name, true).await.unwrap(), 0) {
                Ok(offset) if offset == expected => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn thousands_of_groups_are_committed_for_and_read_at_once() {
    let wire = wire(pair().await.west.bootstrap());
    let (orders, prefix) = (topic("many"), group("many"));
    wire.create_topic(&new_topic(&orders, 10, &[]), false).await.unwrap();
    let names: Vec<String> = (0..3_000).map(|n| format!("{prefix}-{n}")).collect();
    let expected = |n: i64| -> Texts {
        (0..10).map(|p| (TopicPartition::new(&*orders, p), (n * 10 + i64::from(p), format!("{n}")))).collect()
    };
    let commits = names.iter().zip(0..).map(|(name, n)| GroupCommit {
        group: name.clone(),
        offsets: expected(n).into_iter().map(|(place, (offset, text))| (place, offset, text)).collect(),
    });
    let outcomes = wire.commit_offsets(commits.collect()).await;
    assert!(outcomes.iter().map(|(name, _)| name).eq(&names));
    for (name, outcome) in outcomes {
        let results = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(results.len() == 10 && results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    }
    let found = wire.committed_offsets(&names, true).await;
    assert_eq!(found.len(), names.len());
    for (name, n) in names.iter().zip(0..) {
        assert_eq!(texts(found[name].as_ref().unwrap()), expected(n), "{name}");
    }
    let listing = wire.list_groups().await.unwrap();
    let ours = listing.groups.iter().filter(|listed| listed.group.starts_with(&prefix));
    assert_eq!(ours.filter(|listed| listed.state == GroupState::Empty).count(), names.len());
}

/// Together these are larger than what a broker takes as one batch.
#[tokio::test]
async fn a_group_commits_more_than_a_batch_holds() {
    let wire = wire(pair().await.west.bootstrap());
    let (wide, name) = (topic("wide"), group("wide"));
    wire.create_topic(&new_topic(&wide, 300, &[]), false).await.unwrap();
    let text = "x".repeat(4_000);
    let offsets: Vec<(&str, i32, i64, &str)> = (0..300).map(|p| (&*wide, p, i64::from(p), &*text)).collect();
    commit_well(&wire, commit(&name, &offsets)).await;
    let found = texts(&read(&wire, &name, true).await.unwrap());
    let expected: Texts =
        (0..300).map(|p| (TopicPartition::new(&*wide, p), (i64::from(p), text.clone()))).collect();
    assert!(found == expected, "{} of {} are as committed", found.len(), expected.len());
}

#[tokio::test]
async fn a_missing_right_is_told_for_its_group_or_topic_only() {
    let cluster = guarded().await;
    let admin = wire(cluster.bootstrap());
    let (open, closed) = (topic("readable"), topic("closed"));
    for name in [&open, &closed] {
        admin.create_topic(&new_topic(name, 1, &[]), false).await.unwrap();
    }
    let (mine, other) = (group("mine"), group("others"));
    for name in [&mine, &other] {
        commit_well(&admin, commit(name, &[(&open, 0, 1, ""), (&closed, 0, 1, "")])).await;
    }
    for (kind, name) in [("--topic", &open), ("--group", &mine)] {
        cluster.acls(&["--add", "--allow-principal", "User:bob", "--operation", "Read", kind, name]).await;
    }
    let bob = client(cluster, Listener::Sasl, None, Some(login("PLAIN", "bob", "bobs-secret")));
    // The broker keeps quiet about topics that may not be seen.
    let expected = Texts::from([(TopicPartition::new(&*open, 0), (1, String::new()))]);
    // The controller has the rights, the broker a moment later.
    let found = wait_for("the rights to be known", async || {
        let found = bob.committed_offsets(&[mine.clone(), other.clone()], true).await;
        match &found[&mine] {
            Ok(offsets) if texts(offsets) == expected => Ok(found),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
    let error = found[&other].as_ref().unwrap_err();
    assert!(error.is_group_unauthorized() && error.to_string().contains(&other), "{error}");
    assert!(listed(&bob, &mine).await.is_some() && listed(&bob, &other).await.is_none());
    assert!(listed(&admin, &other).await.is_some());

    let offsets = [(&*open, 0, 2, ""), (&*closed, 0, 2, "")];
    let outcomes = bob.commit_offsets(vec![commit(&other, &offsets), commit(&mine, &offsets)]).await;
    assert!(outcomes[0].1.as_ref().unwrap_err().is_group_unauthorized());
    let results = outcomes[1].1.as_ref().unwrap();
    assert!(results[0].1.is_ok());
    let error = results[1].1.as_ref().unwrap_err();
    assert!(error.is_unauthorized() && error.to_string().contains(&closed), "{error}");
}

#[tokio::test]
async fn groups_are_followed_to_another_coordinator() {
    let cluster = Cluster::builder("coordinators").brokers(3);
    let cluster = cluster.property("replica.high.watermark.checkpoint.interval.ms", 500).start().await;
    let wire = wire(cluster.bootstrap());
    wire.create_topic(&new_topic("orders", 1, &[]), false).await.unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("group-{n}")).collect();
    let commits = |offset| -> Vec<GroupCommit> {
        names.iter().map(|name| commit(name, &[("orders", 0, offset, "")])).collect()
    };
    for commit in commits(1) {
        commit_well(&wire, commit).await;
    }
    let coordinators: HashMap<String, i32> = wire
        .list_groups()
        .await
        .unwrap()
        .groups
        .into_iter()
        .map(|listed| (listed.group, listed.coordinator))
        .collect();
    assert_eq!(coordinators.len(), names.len());
    let gone = coordinators["group-0"];
    let broker = cluster.brokers().iter().find(|broker| i32::from(broker.node_id()) == gone).unwrap();
    cluster.in_step("__consumer_offsets").await;
    broker.kill();

    // The client still knows the dead broker as coordinator.
    wait_for("all offsets from those that are left", async || {
        let found = wire.committed_offsets(&names, true).await;
        let failed = found.values().find_map(|answer| answer.as_ref().err());
        let offsets = || found.values().flatten().flatten();
        match failed {
            Some(error) => Err(error.to_string()),
            None => {
                assert!(offsets().all(|offset| offset.committed.as_ref().unwrap().offset == 1));
                assert_eq!(offsets().count(), names.len());
                Ok(())
            }
        }
    })
    .await;
    for (name, outcome) in wire.commit_offsets(commits(2)).await {
        assert!(outcome.unwrap_or_else(|error| panic!("{name}: {error}"))[0].1.is_ok());
    }
    let listing = wait_for("every group at another broker", async || {
        let listing = wire.list_groups().await.map_err(|error| error.to_string())?;
        if listing.groups.len() == names.len() { Ok(listing) } else { Err(format!("{listing:?}")) }
    })
    .await;
    assert!(listing.groups.iter().all(|listed| listed.coordinator != gone));

    broker.start().await;
    wait_for("all brokers to list groups", async || {
        let metadata = wire.metadata(Some(&[])).await.map_err(|error| error.to_string())?;
        let listing = wire.list_groups().await.map_err(|error| error.to_string())?;
        let whole = metadata.brokers.len() == 3 && listing.failed.is_empty();
        if whole && listing.groups.len() == names.len() { Ok(()) } else { Err(format!("{listing:?}")) }
    })
    .await;
    let found = wire.committed_offsets(&names, true).await;
    let at = |name| texts(found[name].as_ref().unwrap())[&TopicPartition::new("orders", 0)].0;
    assert!(names.iter().all(|name| at(name) == 2));
}
