//! `mirrormesh offsets` when it is needed most: the source is dead, and the mesh with it.

use std::collections::BTreeMap;
use std::time::Duration;

use mirrormesh::model::TopicPartition;
use mirrormesh::model::groups::GroupState;
use mirrormesh::store::stored_checkpoints;
use mirrormesh::wire::{GroupCommit, Wire};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use crate::common::topologies::{flow, topology};
use crate::common::{
    Cluster, Ending, KafkaClient, MirrorProcess, Produce, Ran, TestRecord, await_exact, fresh_dir,
    mirrormesh, wait_for, wire_settings,
};

fn wire(cluster: &Cluster) -> Wire {
    Wire::new(cluster.name().into(), &wire_settings(cluster.client().bootstrap())).expect("sound settings")
}

async fn commit(cluster: &Cluster, group: &str, topic: &str, offsets: &[(i32, i64)]) {
    let offsets = offsets.iter().map(|(partition, offset)| {
        (TopicPartition::new(topic, *partition), *offset, format!("{group} was here"))
    });
    let commits = vec![GroupCommit { group: group.to_owned(), offsets: offsets.collect() }];
    for (_, outcome) in wire(cluster).commit_offsets(commits).await {
        for (partition, answer) in outcome.expect("the coordinator answers") {
            answer.unwrap_or_else(|error| panic!("{partition}: {error}"));
        }
    }
}

/// What a group has committed: topic and partition → offset and metadata.
async fn committed(cluster: &Cluster, group: &str) -> BTreeMap<String, (i64, String)> {
    let mut answers = wire(cluster).committed_offsets(&[group.to_owned()], true).await;
    let offsets = answers.remove(group).expect("an answer for each group").expect("the coordinator answers");
    let offset = |committed: mirrormesh::wire::CommittedOffset| {
        let place = committed.partition.to_string();
        let committed = committed.committed.expect("nothing is in a transaction");
        (place, (committed.offset, committed.metadata))
    };
    offsets.into_iter().map(offset).collect()
}

/// Each record's offset on the source and on the target, by partition.
async fn pairs(here: &KafkaClient, topic: &str, there: &KafkaClient, remote: &str) -> Vec<Vec<(i64, i64)>> {
    let (from, to) = (here.consume_all(topic).await, there.consume_all(remote).await);
    let of_partition = from.into_iter().zip(to).map(|(from, to)| {
        assert_eq!(from.len(), to.len());
        from.into_iter().zip(to).map(|(from, to)| (from.offset, to.offset)).collect()
    });
    of_partition.collect()
}

fn offsets_of(ran: &Ran) -> Vec<Value> {
    ran.json()["offsets"].as_array().cloned().unwrap_or_else(|| panic!("no offsets in {ran:?}"))
}

/// One answer of `translate --json`.
async fn translate(topology: &str, topic: &str, partition: usize, offset: i64, more: &[&str]) -> Value {
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let mut flags = vec!["--json", "--topic", topic, "--partition", &partition, "--offset", &offset];
    flags.extend(more);
    let ran = mirrormesh("offsets translate", topology, &flags).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    offsets_of(&ran).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_told_with_source_and_mesh_dead() {
    let _seats = crate::seats(2).await;
    let east = Cluster::builder("east").start().await;
    let west = Cluster::builder("west").start().await;
    let (here, there) = (east.client(), west.client());
    here.create_topic("orders", 2, &[]).await;
    here.produce("orders", 0, TestRecord::numbered(60)).await;
    let aborted = Produce::new().transaction("none", Ending::Abort);
    here.produce_with("orders", 0, TestRecord::numbered(10), aborted).await;
    here.produce("orders", 0, TestRecord::numbered(40)).await;
    here.produce("orders", 1, TestRecord::numbered(7)).await;
    // As on an old topic: the first record on the target is not the source's offset 0.
    here.delete_records("orders", 0, 5).await;
    commit(&east, "behind", "orders", &[(0, 30), (1, 2)]).await;
    commit(&east, "between", "orders", &[(0, 65)]).await;
    commit(&east, "ended", "orders", &[(0, 111), (1, 7)]).await;
    let flows = flow(
        "orders",
        "east",
        "west",
        &["orders"],
        &["groups: {interval: 200ms}", "isolation: read_committed"],
    );
    let topology = topology(&[&east, &west], &flows);
    let mirror = MirrorProcess::start(&topology, &["positions.interval=200ms"]);
    mirror.ready().await;
    await_exact(here, "orders", there, "east.orders").await;
    let pairs = pairs(here, "orders", there, "east.orders").await;
    wait_for("checkpoints of all three groups on both partitions", async || {
        let found = stored_checkpoints(&wire(&west), &"east.checkpoints.internal".into()).await;
        let found = found.expect("west answers").checkpoints;
        let partitions: usize = found.values().map(|of_group| of_group.len()).sum();
        if partitions == 5 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    wait_for("the map to be stored up to the ends", async || {
        let flags = ["--json", "--flow", "east->west", "--group", "ended"];
        let ran = mirrormesh("offsets translate", &topology, &flags).await;
        let exact = offsets_of(&ran).iter().filter(|answer| answer["worth"] == "exact").count();
        if exact == 2 { Ok(()) } else { Err(format!("{ran:?}")) }
    })
    .await;
    let ended = [(0, 111), (1, 7)].map(|(partition, end): (usize, i64)| {
        (end, pairs[partition].last().expect("there are records").1 + 1)
    });
    wait_for("the map of the heartbeats to be stored", async || {
        let flags = ["--json", "--topic", "heartbeats", "--partition", "0", "--offset", "0"];
        let ran = mirrormesh("offsets translate", &topology, &flags).await;
        if ran.code == 0 { Ok(()) } else { Err(format!("{ran:?}")) }
    })
    .await;
    the_running_mesh_says_the_same(&mirror, &topology).await;
    mirror.kill();
    east.kill();

    every_offset_has_its_answer(&topology, &pairs).await;
    groups_are_told_by_their_checkpoints(&topology, &pairs, ended).await;
    a_document_goes_out_and_in(&topology, &west, &pairs, ended).await;
    what_is_not_known_is_said(&topology).await;
}

/// Over HTTP, from memory, as the command line says from what is stored.
async fn the_running_mesh_says_the_same(mirror: &MirrorProcess, topology: &str) {
    let page = async |query: &str| {
        let (code, body) = mirror.get(&format!("/offsets{query}")).await.expect("it answers");
        (code, serde_json::from_str::<Value>(&body).expect("a JSON page"))
    };
    let stored = translate(topology, "orders", 0, 65, &[]).await;
    let (code, told) = page("?topic=orders&partition=0&offset=65").await;
    assert_eq!((code, &told["offsets"][0]), (200, &stored));
    let back = stored["translated_offset"].as_i64().expect("an offset");
    let stored = translate(topology, "east.orders", 0, back, &["--reverse"]).await;
    let (code, told) =
        page(&format!("?flow=orders&topic=east.orders&partition=0&offset={back}&reverse=true")).await;
    assert_eq!((code, &told["offsets"][0]), (200, &stored));
    // The groups come over one round after the other, and the running mesh looks at the source's ends now and then: a lag
    // is unknown until it has seen them. Then nothing changes any more.
    let of_behind = wait_for("all groups to be brought over, and both to say so", async || {
        let ran = mirrormesh("offsets groups", topology, &["--json"]).await;
        assert_eq!((ran.code, &ran.json()["as_of"]), (0, &json!("source")), "{ran:?}");
        let partitions = |groups: &Value| -> BTreeMap<String, Value> {
            let groups = groups.as_array().cloned().unwrap_or_default().into_iter();
            groups.map(|group| (group["group"].to_string(), group["partitions"].clone())).collect()
        };
        let stored = partitions(&ran.json()["groups"]);
        let rows: Vec<&Value> = stored.values().flat_map(|rows| rows.as_array()).flatten().collect();
        let brought =
            |row: &&Value| row["target_offset"].is_i64() && row["target_offset"] == row["translated"];
        let all_brought = rows.len() == 5 && rows.iter().all(brought);
        let (code, told) = page("").await;
        let told = partitions(&told["flows"][0]["groups"]);
        match code == 200 && all_brought && told == stored {
            true => Ok(stored["\"behind\""].clone()),
            false => Err(format!("{code}: {told:?} is told, {stored:?} is stored")),
        }
    })
    .await;
    let (code, told) = page("?group=behind").await;
    assert_eq!((code, &told["flows"][0]["groups"][0]["partitions"]), (200, &of_behind));
    let ran = mirrormesh("offsets groups", topology, &["--json", "--group", "behind"]).await;
    assert_eq!((ran.code, &ran.json()["groups"][0]["partitions"]), (0, &of_behind), "{ran:?}");
    assert_eq!(page("?topic=orders&partition=5&offset=0").await.0, 404);
}

async fn every_offset_has_its_answer(topology: &str, pairs: &[Vec<(i64, i64)>]) {
    for (partition, pairs) in pairs.iter().enumerate() {
        // One run a record would take long: the ends, the middle, and both sides of the gap.
        for (source, target) in [0, 1, 30, 54, 55, 56, 94].into_iter().filter_map(|index| pairs.get(index)) {
            let there = translate(topology, "orders", partition, *source, &["--flow", "orders"]).await;
            assert_eq!(
                there,
                json!({
                    "topic": "orders", "partition": partition, "offset": source,
                    "translated_topic": "east.orders", "translated_offset": target, "worth": "exact",
                })
            );
            let back = translate(topology, "east.orders", partition, *target, &["--reverse"]).await;
            assert_eq!((&back["translated_topic"], &back["worth"]), (&json!("orders"), &json!("exact")));
            assert!(back["translated_offset"].as_i64().expect("an offset") <= *source, "{back}");
        }
    }
    let table = ["--topic", "orders", "--partition", "1", "--offset", "3"];
    let ran = mirrormesh("offsets translate", topology, &table).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "topic on east partition offset topic on west offset worth");
    assert_eq!(lines[1], ["orders", "1", "3", "east.orders", "3", "exact"]);
}

async fn groups_are_told_by_their_checkpoints(
    topology: &str,
    pairs: &[Vec<(i64, i64)>],
    ended: [(i64, i64); 2],
) {
    let at = |partition: usize, source: i64| {
        pairs[partition].iter().find(|(from, _)| *from >= source).expect("a record follows").1
    };
    let ran = mirrormesh("offsets groups", topology, &["--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("east does not answer"), "{ran:?}");
    let report = ran.json();
    assert_eq!(
        (&report["as_of"], &report["from"], &report["to"]),
        (&json!("checkpoints"), &json!("east"), &json!("west"))
    );
    let row = |group: &str, partition: usize| {
        let groups = report["groups"].as_array().expect("a list");
        let group = groups.iter().find(|status| status["group"] == group).expect("the group is there");
        let partitions = group["partitions"].as_array().expect("a list");
        let row = partitions.iter().find(|row| row["source"]["partition"] == partition).expect("it is there");
        assert_eq!(group["target_state"], "empty", "it was brought over: {group}");
        let number = |field: &str| row[field].as_i64();
        (
            number("source_offset"),
            number("translated"),
            row["worth"].as_str().map(str::to_owned),
            number("target_offset"),
        )
    };
    let expected =
        |source: i64, target: i64| (Some(source), Some(target), Some("exact".to_owned()), Some(target));
    assert_eq!(row("behind", 0), expected(30, at(0, 30)));
    assert_eq!(row("behind", 1), expected(2, 2));
    assert_eq!(row("between", 0), expected(65, at(0, 65)));
    for partition in [0, 1] {
        assert_eq!(row("ended", partition), expected(ended[partition].0, ended[partition].1));
    }

    let ran = mirrormesh("offsets translate", topology, &["--group", "behind", "--json"]).await;
    assert_eq!((ran.code, &ran.json()["as_of"]), (0, &json!("checkpoints")), "{ran:?}");
    let answers = offsets_of(&ran);
    assert_eq!(answers.len(), 2);
    assert_eq!(
        (&answers[0]["translated_offset"], &answers[0]["metadata"]),
        (&json!(at(0, 30)), &json!("behind was here"))
    );
    let ran = mirrormesh("offsets translate", topology, &["--group", "behind", "--json", "--reverse"]).await;
    assert_eq!((ran.code, &ran.json()["as_of"]), (0, &json!("target")), "{ran:?}");
    assert_eq!(offsets_of(&ran)[0]["translated_offset"], 30);
}

async fn a_document_goes_out_and_in(
    topology: &str,
    west: &Cluster,
    pairs: &[Vec<(i64, i64)>],
    ended: [(i64, i64); 2],
) {
    let ran = mirrormesh("offsets export", topology, &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let exported = offsets_of(&ran);
    assert_eq!(exported.len(), 5);
    let dir = fresh_dir("documents");
    let file = dir.join("exported.json");
    std::fs::write(&file, &ran.stdout).expect("the document can be written");
    let file = file.to_str().expect("its path is text");
    let ran = mirrormesh("offsets import", topology, &[file, "--json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(offsets_of(&ran), exported);
    // One group of it, as another group.
    let ran = mirrormesh("offsets import", topology, &[file, "--commit", "ended"]).await;
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, "committed 2 offsets for group ended on west\n"),
        "{ran:?}"
    );

    // A program's own, with what it keeps beside.
    let own = dir.join("own.json");
    let list = json!([
        {"topic": "orders", "partition": 0, "offset": 40, "job": "nightly"},
        {"topic": "orders", "partition": 1, "offset": 7, "job": "nightly", "metadata": "seven"},
    ]);
    std::fs::write(&own, list.to_string()).expect("the document can be written");
    let own = own.to_str().expect("its path is text");
    let target = pairs[0].iter().find(|(source, _)| *source == 40).expect("it was mirrored").1;
    let ran = mirrormesh("offsets import", topology, &[own, "--json", "--commit", "nightly"]).await;
    assert_eq!((ran.code, &ran.json()["committed"]), (0, &json!("nightly")), "{ran:?}");
    assert!(offsets_of(&ran).iter().all(|entry| entry["job"] == "nightly"), "{ran:?}");
    let expected = [("east.orders-0", (target, "")), ("east.orders-1", (ended[1].1, "seven"))];
    let expected = expected.map(|(place, (offset, text))| (place.to_owned(), (offset, text.to_owned())));
    assert_eq!(committed(west, "nightly").await, BTreeMap::from(expected.clone()));

    // A group at work is left alone.
    let mut config = west.client().config();
    config.set("group.id", "nightly").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("sound settings");
    consumer.subscribe(&["east.orders"]).expect("a sound name");
    wait_for("the group to be active", async || {
        // Polling is what keeps it in the group.
        drop(consumer.poll(Duration::from_millis(100)));
        let groups = wire(west).list_groups().await.expect("west answers").groups;
        let state = groups.into_iter().find(|listed| listed.group == "nightly").map(|listed| listed.state);
        if matches!(state, Some(GroupState::Active(_))) { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    let back = json!([{"topic": "orders", "partition": 0, "offset": 8}]);
    std::fs::write(own, back.to_string()).expect("the document can be written");
    let ran = mirrormesh("offsets import", topology, &[own, "--commit", "nightly"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.stderr.contains("nothing was committed for group nightly: it has active members on west"),
        "{ran:?}"
    );
    assert_eq!(committed(west, "nightly").await, BTreeMap::from(expected));

    // Neither are unknown partitions committed, nor half a document.
    let half = json!([{"topic": "orders", "partition": 0, "offset": 8}, {"topic": "orders", "partition": 9, "offset": 1}]);
    std::fs::write(own, half.to_string()).expect("the document can be written");
    let ran = mirrormesh("offsets import", topology, &[own, "--commit", "other"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("has no offset map for orders-9"), "{ran:?}");
    assert!(
        ran.stderr.contains("nothing was committed for group other: offset 1 of orders-9 is unknown"),
        "{ran:?}"
    );
    assert_eq!(committed(west, "other").await, BTreeMap::new());
}

async fn what_is_not_known_is_said(topology: &str) {
    let place = |topic: &'static str, partition: &'static str| {
        ["--topic", topic, "--partition", partition, "--offset", "1"]
    };
    for (command, flags, told) in [
        (
            "offsets translate",
            &place("order", "0")[..],
            "no offset map for order-0: it has maps for heartbeats, orders; did you mean `orders`?",
        ),
        ("offsets translate", &place("orders", "2"), "it has maps for 2 of its partitions, up to 1"),
        ("offsets translate", &place("east.orders", "0"), "to name it as on the target, add --reverse"),
        ("offsets translate", &["--group", "nobody"], "group nobody has committed nothing on east"),
        (
            "offsets translate",
            &["--group", "nobody", "--reverse"],
            "group nobody has committed nothing on west",
        ),
        ("offsets groups", &["--group", "nobody"], "group nobody has committed nothing on east or west"),
        ("offsets export", &["--group", "nobody"], "group nobody has committed nothing on east"),
    ] {
        let ran = mirrormesh(command, topology, flags).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{flags:?}: {ran:?}");
        assert!(ran.stderr.contains(told), "{told:?} is missing in {ran:?}");
    }
}
