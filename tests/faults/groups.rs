//! Groups and what can go wrong with them: missing rights, coordinators that go away, kills; and very many of them.

use std::collections::BTreeMap;
use std::time::Instant;

use mirrormesh::model::TopicPartition;
use mirrormesh::wire::{GroupCommit, Wire};

use crate::common::topologies::{flow, topology, topology_as, topology_at};
use crate::common::{
    Cluster, KafkaClient, Listener, MirrorProcess, TestRecord, await_exact, wait_for, wire_settings,
};

const PASSWORD: &str = "Sesam-oeffne-dich";
const OFTEN: &str = "groups: { interval: 300ms }";

async fn await_committed(client: &KafkaClient, group: &str, topic: &str, expected: &[i64]) {
    let expected: Vec<_> = expected.iter().map(|offset| Some(*offset)).collect();
    wait_for(&format!("{group} to be at {expected:?}"), async || {
        match client.committed(group, topic).await {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

async fn grant(cluster: &Cluster, operations: &[&str], resource: &[&str]) {
    let mut arguments = vec!["--add", "--allow-principal", "User:mirror"];
    for operation in operations {
        arguments.extend(["--operation", operation]);
    }
    arguments.extend(resource);
    cluster.acls(&arguments).await;
}

/// Reasons of `group_refused` for a group, in order.
async fn refusals(mirror: &MirrorProcess, group: &str) -> Vec<String> {
    let events = mirror.events("group_refused").await.into_iter();
    let of_group = events.filter(|event| event["details"]["group"] == group);
    of_group.map(|event| event["details"]["class"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A group that we may not commit for, and one whose offsets we may not read, are told; the others are followed, and
/// granting the right is enough.
#[tokio::test(flavor = "multi_thread")]
async fn groups_without_rights_are_told_and_the_others_followed() {
    let _seats = crate::seats(2).await;
    let secured = |name: &str| Cluster::builder(name).user("mirror", PASSWORD).authorizer().start();
    let (east, west) = tokio::join!(secured("east"), secured("west"));
    for cluster in [&east, &west] {
        grant(cluster, &["All"], &["--topic", "*"]).await;
        grant(cluster, &["All"], &["--cluster"]).await;
        grant(cluster, &["Read"], &["--group", "open"]).await;
    }
    grant(&east, &["Describe"], &["--group", "unwritable"]).await;
    grant(&west, &["Describe"], &["--group", "unwritable"]).await;
    grant(&west, &["Read"], &["--group", "unreadable"]).await;
    east.client().create_topic("orders", 1, &[]).await;
    east.client().produce("orders", 0, TestRecord::numbered(100)).await;
    for group in ["open", "unwritable", "unreadable"] {
        east.client().commit(group, &[("orders", 0, 10, "")]).await;
    }
    let client = format!(
        "security.protocol: SASL_PLAINTEXT, sasl.mechanism: SCRAM-SHA-256, sasl.username: mirror, \
         sasl.password: {PASSWORD}"
    );
    let entry = |cluster: &Cluster| {
        let bootstrap = cluster.bootstrap_at(Listener::Sasl);
        format!("  {}: {{ bootstrap: \"{bootstrap}\", client: {{ {client} }} }}\n", cluster.name())
    };
    let flows = flow("rights", "east", "west", &["orders"], &[OFTEN]);
    let yaml = topology_as(&[], Listener::Sasl, &flows);
    let yaml = yaml.replacen("clusters:\n", &format!("clusters:\n{}{}", entry(&east), entry(&west)), 1);
    let mirror = MirrorProcess::start(&yaml, &[]);
    mirror.ready().await;
    let remote = "east.orders";
    await_exact(east.client(), "orders", west.client(), remote).await;
    await_committed(west.client(), "open", remote, &[10]).await;
    for group in ["unwritable", "unreadable"] {
        wait_for(&format!("{group} to be told of"), async || match refusals(&mirror, group).await {
            told if told == ["unauthorized"] => Ok(()),
            told => Err(format!("{told:?}")),
        })
        .await;
        assert_eq!(west.client().committed(group, remote).await, [None]);
    }
    let events = mirror.events("group_refused").await;
    for (event, cluster) in [("unwritable", "west"), ("unreadable", "east")] {
        let told = events.iter().find(|told| told["details"]["group"] == event).unwrap().to_string();
        assert!(told.contains(cluster) && told.contains("GROUP_AUTHORIZATION_FAILED"), "{told}");
    }
    east.client().commit("open", &[("orders", 0, 20, "")]).await;
    await_committed(west.client(), "open", remote, &[20]).await;
    grant(&west, &["Read"], &["--group", "unwritable"]).await;
    grant(&east, &["Describe"], &["--group", "unreadable"]).await;
    for group in ["unwritable", "unreadable"] {
        await_committed(west.client(), group, remote, &[10]).await;
        assert_eq!(refusals(&mirror, group).await, ["unauthorized"], "told once");
    }
}

/// Coordinators on the target go away one after the other; each time the groups are followed again by themselves, and
/// those of other brokers go on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn groups_are_followed_while_coordinators_move() {
    let _seats = crate::seats(4).await;
    // Every topic of ours outlives a broker, so only the coordinators are what is missed.
    let three = Cluster::builder("west").brokers(3).property("default.replication.factor", 3);
    let three = three.property("replica.high.watermark.checkpoint.interval.ms", 500);
    let (east, west) = tokio::join!(Cluster::builder("east").start(), three.start());
    east.client().create_topic("orders", 1, &[]).await;
    east.client().produce("orders", 0, TestRecord::numbered(1_000)).await;
    let groups: Vec<String> = (0..8).map(|n| format!("group-{n}")).collect();
    // librdkafka's client gives up where a broker goes away under it; ours is asked instead.
    let wire = Wire::new("west".into(), &wire_settings(west.bootstrap())).expect("the settings are sound");
    let remote = TopicPartition::new("east.orders", 0);
    let followed = async |offset: i64| {
        wait_for(&format!("all groups to be at {offset}"), async || {
            for (group, offsets) in wire.committed_offsets(&groups, false).await {
                let offsets = offsets.map_err(|error| format!("{group}: {error}"))?;
                let found = offsets.iter().find(|found| found.partition == remote);
                match found.and_then(|found| found.committed.as_ref().ok()).map(|found| found.offset) {
                    Some(found) if found == offset => {}
                    other => return Err(format!("{group} is at {other:?}")),
                }
            }
            Ok(())
        })
        .await;
    };
    let commit = async |offset: i64| {
        for group in &groups {
            east.client().commit(group, &[("orders", 0, offset, "")]).await;
        }
    };
    commit(10).await;
    let mirror = MirrorProcess::start(
        &topology(&[&east, &west], &flow("moves", "east", "west", &["orders"], &[OFTEN])),
        &[],
    );
    mirror.ready().await;
    await_exact(east.client(), "orders", west.client(), "east.orders").await;
    followed(10).await;
    for (round, broker) in west.brokers().iter().enumerate() {
        west.in_step("__consumer_offsets").await;
        broker.kill();
        let offset = 100 * (round as i64 + 1);
        commit(offset).await;
        followed(offset).await;
        broker.start().await;
        commit(offset + 1).await;
        followed(offset + 1).await;
    }
    assert!(mirror.events("group_conflict").await.is_empty());
}

/// Killed again and again while groups move on both sides: what we wrote is never taken for somebody else's work, so
/// there is never a conflict, and both sides end in step.
#[tokio::test(flavor = "multi_thread")]
async fn kills_make_no_conflict() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    for client in [east.client(), west.client()] {
        client.create_topic("orders", 1, &[]).await;
    }
    east.client().produce("orders", 0, TestRecord::numbered(1_000)).await;
    let groups: Vec<String> = (0..40).map(|n| format!("group-{n}")).collect();
    for group in &groups {
        east.client().commit(group, &[("orders", 0, 5, "")]).await;
    }
    let often = "groups: { interval: 100ms }";
    let flows = flow("ew", "east", "west", &[".*orders"], &[often])
        + &flow("we", "west", "east", &[".*orders"], &[often]);
    let mirror = MirrorProcess::start(&topology(&[&east, &west], &flows), &[]);
    mirror.ready().await;
    let remote = "east.orders";
    await_exact(east.client(), "orders", west.client(), remote).await;
    for group in &groups {
        await_committed(west.client(), group, remote, &[5]).await;
    }
    for round in 0..6_i64 {
        // Each side moves in turn; the other one follows.
        let (here, name, there, other) = match round % 2 {
            0 => (east.client(), "orders", west.client(), remote),
            _ => (west.client(), remote, east.client(), "orders"),
        };
        let place = 100 + round * 50;
        let moving = async {
            for group in &groups {
                here.commit(group, &[(name, 0, place, "")]).await;
            }
        };
        let killing = async {
            for _ in 0..3 {
                wait_for("some group to be followed", async || {
                    let place = Some(place);
                    for group in groups.iter().rev() {
                        if there.committed(group, other).await == [place] {
                            return Ok(());
                        }
                    }
                    Err("none".to_owned())
                })
                .await;
                mirror.kill();
                mirror.launch();
                mirror.ready().await;
            }
        };
        tokio::join!(moving, killing);
        for group in &groups {
            await_committed(there, group, other, &[place]).await;
            assert_eq!(here.committed(group, name).await, [Some(place)]);
        }
        assert!(mirror.events("group_conflict").await.is_empty());
    }
}

/// Numbers of Kafka's APIs.
const PRODUCE: i16 = 0;
const LIST_OFFSETS: i16 = 2;
const COMMIT_OFFSETS: i16 = 8;
const FETCH_OFFSETS: i16 = 9;
const FIND_COORDINATOR: i16 = 10;
const LIST_GROUPS: i16 = 16;

/// Requests that reached a cluster since they were last counted.
struct Requests<'a> {
    cluster: &'a Cluster,
    before: BTreeMap<i16, u64>,
}

impl<'a> Requests<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, before: cluster.broker().proxy().requests() }
    }

    fn seen(&self, api: i16) -> u64 {
        let now = self.cluster.broker().proxy().requests();
        now.get(&api).copied().unwrap_or(0) - self.before.get(&api).copied().unwrap_or(0)
    }
}

/// 5,000 groups with ten offsets each: a request per group to commit, once; and a round in which nothing changed asks in
/// few requests and commits nothing.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told from its begin to its end")]
async fn five_thousand_groups_take_few_requests() {
    const GROUPS: usize = 5_000;
    const PARTITIONS: i32 = 10;
    let _seats = crate::seats(2).await;
    let (east, west) =
        tokio::join!(Cluster::builder("east").proxied().start(), Cluster::builder("west").proxied().start());
    east.client().create_topic("orders", PARTITIONS, &[]).await;
    for partition in 0..PARTITIONS {
        east.client().produce("orders", partition, TestRecord::numbered(100)).await;
    }
    let wire = Wire::new("east".into(), &wire_settings(east.bootstrap())).expect("the settings are sound");
    let commit = async |place: i64, groups: std::ops::Range<usize>| {
        let commits = groups.map(|n| GroupCommit {
            group: format!("group-{n:04}"),
            offsets: (0..PARTITIONS)
                .map(|index| (TopicPartition::new("orders", index), place, String::new()))
                .collect(),
        });
        for (group, outcome) in wire.commit_offsets(commits.collect()).await {
            for (partition, result) in outcome.unwrap_or_else(|error| panic!("{group}: {error}")) {
                result.unwrap_or_else(|error| panic!("{group}: {partition}: {error}"));
            }
        }
    };
    commit(40, 0..GROUPS).await;
    let start = |groups: &str| {
        let flows = flow("many", "east", "west", &["orders"], &[groups]);
        MirrorProcess::start(
            &topology_at(&[&east, &west], Listener::Link, &flows),
            &["telemetry.log.filter=info,mirrormesh::mesh=debug"],
        )
    };
    // Everything is mirrored before the first round: or that could find half of a group's partitions, and write it twice.
    let mirror = start("groups: { enabled: false }");
    await_exact(east.client(), "orders", west.client(), "east.orders").await;
    assert_eq!(mirror.terminate().await, Some(0));
    let at_west = Requests::new(&west);
    let mirror = start("groups: { interval: 5s }");
    mirror.ready().await;
    let begun = Instant::now();
    let followed = async |offset: i64| {
        for n in [0, GROUPS / 2, GROUPS - 1] {
            let expected = [offset; PARTITIONS as usize];
            await_committed(west.client(), &format!("group-{n:04}"), "east.orders", &expected).await;
        }
    };
    followed(40).await;
    let rounds = async |count: u64| {
        let target = at_west.seen(LIST_GROUPS) + count;
        wait_for("further rounds", async || match at_west.seen(LIST_GROUPS) {
            seen if seen >= target => Ok(()),
            seen => Err(format!("{seen} of {target}")),
        })
        .await;
    };
    rounds(1).await;
    println!("5,000 groups followed {:?} after the start", begun.elapsed());
    assert_eq!(at_west.seen(COMMIT_OFFSETS), GROUPS as u64, "each group once");

    // Two whole rounds, or more, in which nothing changes: 200 groups a request.
    const A_ROUND: u64 = GROUPS as u64 / 200;
    let (quiet_east, quiet_west) = (Requests::new(&east), Requests::new(&west));
    rounds(3).await;
    for (side, requests) in [("east", &quiet_east), ("west", &quiet_west)] {
        // Each begins with a list of the groups. One had begun when the count did, the last may not have ended.
        let ended = requests.seen(LIST_GROUPS) - 1;
        let read = requests.seen(FETCH_OFFSETS);
        let begun = requests.seen(LIST_GROUPS) + 1;
        assert!(read <= begun * A_ROUND, "{side}: {read} requests in {begun} rounds");
        assert!(
            read >= ended * A_ROUND,
            "{side}: they are read each time: {read} requests in {ended} rounds"
        );
        assert!(requests.seen(FIND_COORDINATOR) <= begun, "{side}: {}", requests.seen(FIND_COORDINATOR));
    }
    assert_eq!(quiet_west.seen(COMMIT_OFFSETS), 0, "nothing changed");

    // A tenth of them moves: only they are written, and the logs are asked about a partition once, not once per group.
    let (moved_east, moved_west) = (Requests::new(&east), Requests::new(&west));
    let before = Instant::now();
    commit(70, 0..GROUPS / 10).await;
    await_committed(west.client(), "group-0499", "east.orders", &[70; PARTITIONS as usize]).await;
    println!("500 groups followed {:?} after they had begun to move", before.elapsed());
    rounds(2).await;
    let committed = moved_west.seen(COMMIT_OFFSETS);
    // A round may come upon a part of them.
    assert!((GROUPS as u64 / 10..GROUPS as u64 / 10 + 20).contains(&committed), "{committed}");
    assert!(moved_west.seen(LIST_OFFSETS) < 100, "{}", moved_west.seen(LIST_OFFSETS));
    // Heartbeats and positions among them, as long as it takes.
    assert!(moved_west.seen(PRODUCE) < GROUPS as u64 / 10, "{}", moved_west.seen(PRODUCE));
    assert_eq!(moved_east.seen(COMMIT_OFFSETS), 0, "what the test commits does not pass the proxy");
    for round in mirror.output().lines().filter(|line| line.contains("groups looked at")) {
        println!("{round}");
    }
    println!("west: {:?}", west.broker().proxy().requests());
    println!("resident: {} MiB", mirror.resident_bytes() >> 20);
}
