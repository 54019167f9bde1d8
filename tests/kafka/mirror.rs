//! The real binary between real clusters: what arrives, where, and what does not.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::topologies::{flow, topology};
use crate::common::{
    Ending, Engine, KafkaClient, MirrorProcess, Produce, TestRecord, await_exact, both_engines, pair, topic,
    wait_for,
};

both_engines! {
    active_active_mirrors_both_ways_and_never_back,
    every_codec_of_the_source_is_read,
    aborted_transactions_stay_behind,
    compacted_topics_and_tombstones_arrive,
    a_new_topic_is_mirrored_from_its_first_record,
    added_partitions_are_followed,
    a_clean_restart_repeats_nothing,
    a_record_too_large_faults_its_partition_until_the_limit_is_raised,
}

/// Names on a cluster that contain `part`.
async fn names_with(client: &KafkaClient, part: &str) -> BTreeSet<String> {
    client.topics().await.into_keys().filter(|name| name.contains(part)).collect()
}

/// What `/status` says of the partitions of a topic, in order; null beyond the last.
fn partitions(status: &Value, topic: &str) -> Value {
    let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|partition| partition["topic"] == topic).collect()
}

/// R1, R2, R6, R8: both ways, unchanged, and no third topic.
async fn active_active_mirrors_both_ways_and_never_back(engine: Engine) {
    let pair = pair().await;
    let orders = topic("orders");
    let (east, west) = (pair.east.client(), pair.west.client());
    for client in [east, west] {
        client.create_topic(&orders, 2, &[]).await;
    }
    east.produce(&orders, 0, TestRecord::numbered(500)).await;
    east.produce(&orders, 1, odd_records()).await;
    west.produce(&orders, 0, TestRecord::numbered(300)).await;

    // Flow names are process-wide claims on the shared clusters, so each test has its own.
    let flows = flow(&format!("{orders}-ew"), "east", "west", &[&format!(".*{orders}")], &[])
        + &flow(&format!("{orders}-we"), "west", "east", &[&format!(".*{orders}")], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &orders, west, &format!("east.{orders}")).await;
    await_exact(west, &orders, east, &format!("west.{orders}")).await;

    // What comes later, comes too.
    east.produce(&orders, 0, TestRecord::numbered(50)).await;
    await_exact(east, &orders, west, &format!("east.{orders}")).await;

    assert_eq!(mirror.terminate().await, Some(0), "a drain ends with exit code 0");
    let on_west: BTreeSet<_> = [orders.clone(), format!("east.{orders}")].into();
    let on_east: BTreeSet<_> = [orders.clone(), format!("west.{orders}")].into();
    assert_eq!(names_with(west, &orders).await, on_west);
    assert_eq!(names_with(east, &orders).await, on_east);
}

/// Records that copies like to change.
fn odd_records() -> Vec<TestRecord> {
    let plain = TestRecord::numbered(1).remove(0);
    let header = |key: &str, value: Option<&[u8]>| (key.to_owned(), value.map(<[u8]>::to_vec));
    vec![
        TestRecord { key: None, ..plain.clone() },
        TestRecord { key: Some(Vec::new()), ..plain.clone() },
        TestRecord { value: None, ..plain.clone() },
        TestRecord { value: Some(Vec::new()), ..plain.clone() },
        TestRecord { key: Some(vec![0, 255, 0]), value: Some(vec![254, 0]), ..plain.clone() },
        TestRecord {
            headers: vec![
                header("b", Some(b"2")),
                header("a", None),
                header("b", Some(b"")),
                header("", Some(&[0, 159, 146, 150])),
            ],
            ..plain
        },
    ]
}

/// Every codec a producer may have used is read, and what it says arrives.
async fn every_codec_of_the_source_is_read(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("codecs");
    east.create_topic(&name, 1, &[]).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        east.produce_with(&name, 0, TestRecord::numbered(200), Produce::new().codec(codec)).await;
    }
    let flows = flow(&name, "east", "west", &[&name], &["codec: zstd"]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    assert_eq!(await_exact(east, &name, west, &format!("east.{name}")).await, 1_000);
}

/// Aborted transactions are not mirrored under read_committed; the position still passes their markers.
async fn aborted_transactions_stay_behind(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("transactions");
    east.create_topic(&name, 1, &[]).await;
    let transaction = |ending| Produce::new().transaction(&name, ending);
    for ending in [Ending::Commit, Ending::Abort, Ending::Commit, Ending::Abort] {
        east.produce_with(&name, 0, TestRecord::numbered(40), transaction(ending)).await;
    }
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    assert_eq!(await_exact(east, &name, west, &format!("east.{name}")).await, 80);
    // 160 records and four markers: lag zero means that the last abort and its marker were passed.
    wait_for("the position to pass the last marker", async || {
        let status = mirror.status().await?;
        let partition = &partitions(&status, &name)[0];
        match (partition["source_next"].as_i64(), partition["lag_records"].as_i64()) {
            (Some(164), Some(0)) => Ok(()),
            _ => Err(partition.to_string()),
        }
    })
    .await;
}

/// Keys that were compacted away leave gaps on the source and none on the target; tombstones arrive.
async fn compacted_topics_and_tombstones_arrive(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("compacted");
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "600000"),
    ];
    east.create_topic(&name, 1, &configs).await;
    let keyed = |key: usize, value: Option<String>| {
        let plain = TestRecord::numbered(1).remove(0);
        TestRecord {
            key: Some(format!("k{key}").into_bytes()),
            value: value.map(String::into_bytes),
            ..plain
        }
    };
    for round in 0..4 {
        let records = (0..50).map(|key| keyed(key, Some(format!("round {round}")))).collect();
        east.produce(&name, 0, records).await;
    }
    east.produce(&name, 0, (0..10).map(|key| keyed(key, None)).collect()).await;
    // The cleaner leaves the newest of each key, and all of the active segment.
    wait_for("the source to be compacted", async || {
        east.produce(&name, 0, vec![keyed(99, Some("roll".to_owned()))]).await;
        match east.consume_all(&name).await[0].len() {
            records if records < 200 => Ok(()),
            records => Err(format!("{records} records")),
        }
    })
    .await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    // Both sides are compacted on their own, so the last value of each key is what must agree.
    wait_for("the newest value of each key to agree", async || {
        let remote = format!("east.{name}");
        if !west.topics().await.contains_key(&remote) {
            return Err("no remote topic".to_owned());
        }
        let (here, there) = (last_values(east, &name).await, last_values(west, &remote).await);
        if here == there { Ok(()) } else { Err(format!("{} keys here, {} there", here.len(), there.len())) }
    })
    .await;
    let tombstones = last_values(west, &format!("east.{name}")).await;
    assert_eq!(tombstones.values().filter(|value| value.is_none()).count(), 10);
}

async fn last_values(
    client: &KafkaClient,
    name: &str,
) -> std::collections::BTreeMap<Option<Vec<u8>>, Option<Vec<u8>>> {
    let records = client.consume_all(name).await.remove(0);
    records.into_iter().map(|consumed| (consumed.record.key, consumed.record.value)).collect()
}

/// A topic created while the flow runs starts at its first record, even where `start` says latest; and one that
/// was there starts where `start` says.
async fn a_new_topic_is_mirrored_from_its_first_record(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("late");
    let old = format!("{name}-old");
    east.create_topic(&old, 1, &[]).await;
    east.produce(&old, 0, TestRecord::numbered(10)).await;
    let flows = flow(&name, "east", "west", &[&format!("{name}.*")], &["start: latest"]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    wait_for("the old topic to be streaming", async || {
        let status = mirror.status().await?;
        match partitions(&status, &old)[0]["state"].as_str() {
            Some("streaming") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let new = format!("{name}-new");
    east.create_topic(&new, 3, &[("retention.ms", "86400000")]).await;
    for partition in 0..3 {
        east.produce(&new, partition, TestRecord::numbered(20)).await;
    }
    assert_eq!(await_exact(east, &new, west, &format!("east.{new}")).await, 60);
    east.produce(&old, 0, TestRecord::numbered(5)).await;
    wait_for("what came after `latest` to arrive", async || {
        match west.consume_all(&format!("east.{old}")).await[0].len() {
            5 => Ok(()),
            other => Err(format!("{other} records")),
        }
    })
    .await;
}

/// Partitions added on the source are added on the target, and mirrored from their first record.
async fn added_partitions_are_followed(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("grows");
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, TestRecord::numbered(10)).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &format!("east.{name}")).await;
    east.add_partitions(&name, 4).await;
    for partition in 0..4 {
        east.produce(&name, partition, TestRecord::numbered(7)).await;
    }
    assert_eq!(await_exact(east, &name, west, &format!("east.{name}")).await, 38);
}

/// Restarted after a clean stop, it goes on where it was.
async fn a_clean_restart_repeats_nothing(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("restart");
    east.create_topic(&name, 2, &[]).await;
    east.produce(&name, 0, TestRecord::numbered(100)).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &format!("east.{name}")).await;
    assert_eq!(mirror.terminate().await, Some(0));
    east.produce(&name, 1, TestRecord::numbered(100)).await;
    mirror.launch();
    assert_eq!(await_exact(east, &name, west, &format!("east.{name}")).await, 200);
}

/// R9: a record that the target can't take stops its partition only, with a reason, and it goes on once mended.
async fn a_record_too_large_faults_its_partition_until_the_limit_is_raised(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("large");
    let remote = format!("east.{name}");
    east.create_topic(&name, 2, &[]).await;
    west.create_topic(&remote, 2, &[("max.message.bytes", "2000")]).await;
    let plain = TestRecord::numbered(1).remove(0);
    // Random bytes: compression must not make it fit.
    let large = TestRecord { value: Some(crate::common::random_text(20_000).into_bytes()), ..plain };
    east.produce(&name, 0, TestRecord::numbered(5)).await;
    east.produce(&name, 0, vec![large]).await;
    east.produce(&name, 0, TestRecord::numbered(5)).await;
    east.produce(&name, 1, TestRecord::numbered(50)).await;
    let flows = flow(&name, "east", "west", &[&name], &["start: earliest"]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    let reason = wait_for("partition 0 to be faulted and partition 1 to be done", async || {
        let status = mirror.status().await?;
        let partitions = partitions(&status, &name);
        let faulted = partitions[0]["fault"] == "record_too_large" && partitions[0]["source_next"] == 5;
        let done = partitions[1]["source_next"] == 50;
        if faulted && done { Ok(partitions[0]["reason"].to_string()) } else { Err(partitions.to_string()) }
    })
    .await;
    for part in [name.as_str(), "max.message.bytes", "2000"] {
        assert!(reason.contains(part), "the reason names {part}: {reason}");
    }
    west.set_topic_config(&remote, "max.message.bytes", "1000000").await;
    assert_eq!(await_exact(east, &name, west, &remote).await, 61);
}

/// Two aliases that turn out to be one cluster are refused at run time.
#[tokio::test(flavor = "multi_thread")]
async fn two_aliases_of_one_cluster_are_refused() {
    let pair = pair().await;
    let name = topic("itself");
    pair.east.client().create_topic(&name, 1, &[]).await;
    pair.east.client().produce(&name, 0, TestRecord::numbered(3)).await;
    let flows = flow(&name, "east", "twin", &[&name], &[]);
    let bootstrap = pair.east.bootstrap();
    // Under another name, or the configuration would tell already.
    let other = bootstrap.replace("127.0.0.1", "localhost");
    let clusters = format!("  east: {{bootstrap: ['{bootstrap}']}}\n  twin: {{bootstrap: ['{other}']}}\n");
    let mirror = MirrorProcess::start(&format!("mesh: test\nclusters:\n{clusters}flows:\n{flows}"), &[]);
    wait_for("the flow to be refused", async || {
        let status = mirror.status().await?;
        let flow = &status["flows"][0];
        let told = flow["reason"].as_str().is_some_and(|reason| reason.contains("are one cluster"));
        if flow["state"] == "faulted" && told { Ok(()) } else { Err(flow.to_string()) }
    })
    .await;
    let topics: BTreeSet<_> = [name.clone()].into();
    assert_eq!(names_with(pair.east.client(), &name).await, topics, "nothing was mirrored");
}

/// A remote topic with records and no position is not written to blindly.
#[tokio::test(flavor = "multi_thread")]
async fn a_remote_topic_that_is_not_empty_needs_a_word_from_a_person() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("occupied");
    let remote = format!("east.{name}");
    for (client, name) in [(east, &name), (west, &remote)] {
        client.create_topic(name, 1, &[]).await;
        client.produce(name, 0, TestRecord::numbered(3)).await;
    }
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    wait_for("the partition to be faulted", async || {
        let status = mirror.status().await?;
        match partitions(&status, &name)[0]["fault"].as_str() {
            Some("remote_not_empty") => Ok(()),
            _ => Err(status["flows"][0].to_string()),
        }
    })
    .await;
    assert_eq!(west.end_offsets(&remote).await, [3], "nothing was written");
}

/// What a flow does again and again is on `/status`, each by name with how its last round went.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_shown_with_how_their_last_round_went() {
    let pair = pair().await;
    let name = topic("jobs");
    pair.east.client().create_topic(&name, 1, &[]).await;
    let often = ["groups: {interval: 1s}", "topic_configs: {interval: 1s}"];
    let flows = flow(&name, "east", "west", &[&name], &often);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    let names = wait_for("every job to have had a round", async || {
        let jobs = mirror.jobs().await?;
        let all_fine = jobs.values().all(|job| job["state"] == "fine" && job["last_ms"].is_i64());
        if all_fine && !jobs.is_empty() {
            Ok(jobs.into_keys().collect::<Vec<_>>())
        } else {
            Err(format!("{jobs:?}"))
        }
    })
    .await;
    let expected =
        ["consumer groups", "heartbeats", "offset syncs", "topic configurations", "trimming offset maps"];
    assert_eq!(names, expected);
}
