//! Commands that ask clusters, and how `run` ends.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::topologies::{flow, topology};
use crate::common::{
    KafkaClient, MirrorProcess, Ran, TestRecord, await_exact, mirrormesh, pair, topic, wait_for,
};

/// Topics whose name contains `part`, with their partitions.
async fn topics_with(client: &KafkaClient, part: &str) -> BTreeMap<String, usize> {
    client.topics().await.into_iter().filter(|(name, _)| name.contains(part)).collect()
}

/// The entries of a list of the plan that are about topics of this test.
fn about<'a>(list: &'a Value, part: &str) -> Vec<&'a Value> {
    let list = list.as_array().expect("the plan has this list");
    list.iter().filter(|entry| entry.to_string().contains(part)).collect()
}

/// A topology whose cluster `north` answers nobody: nothing listens on port 1.
fn with_north_away(flows: &str) -> String {
    topology(&[], flows).replacen("clusters:\n", "clusters:\n  north: { bootstrap: '127.0.0.1:1' }\n", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_everything_and_does_nothing() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let base = topic("plan");
    let name = |end: &str| format!("{base}-{end}");
    let remote = |end: &str| format!("east.{base}-{end}");
    east.create_topic(&name("new"), 2, &[("retention.ms", "1234567")]).await;
    east.create_topic(&name("wide"), 3, &[]).await;
    west.create_topic(&remote("wide"), 1, &[]).await;
    east.create_topic(&name("changed"), 1, &[("cleanup.policy", "compact")]).await;
    west.create_topic(&remote("changed"), 1, &[("retention.ms", "5")]).await;
    east.create_topic(&name("left"), 1, &[]).await;
    let before = [topics_with(east, &base).await, topics_with(west, &base).await];
    let pattern = format!("{base}-.*");
    let flows = flow(&base, "east", "west", &[&pattern], &["exclude: ['.*-left']"]);
    let topology = topology(&[&pair.east, &pair.west], &flows);

    let ran = mirrormesh("plan", &topology, &["--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["unanswered"], json!([]));
    let plan = &report["flows"][0];
    assert_eq!(plan["flow"], json!(base));
    let selected = |end: &str, partitions: i32| json!({"topic": name(end), "remote": remote(end), "rule": pattern, "partitions": partitions});
    assert_eq!(
        about(&plan["selected"], &base),
        [&selected("changed", 1), &selected("new", 2), &selected("wide", 3)]
    );
    let create = about(&plan["create"], &base);
    assert_eq!(create.len(), 1, "{create:?}");
    assert_eq!((&create[0]["remote"], &create[0]["partitions"]), (&json!(remote("new")), &json!(2)));
    assert!(create[0]["configs"].to_string().contains(r#"["retention.ms","1234567"]"#), "{create:?}");
    assert_eq!(about(&plan["grow"], &base), [&json!({"remote": remote("wide"), "from": 1, "to": 3})]);
    let changes: Vec<_> = about(&plan["config_changes"], &remote("changed"));
    let edits = changes[0]["edits"].as_array().expect("a change has edits");
    let set = json!({"set": {"name": "cleanup.policy", "value": "compact", "was": "delete"}});
    let delete = json!({"delete": {"name": "retention.ms", "was": "5"}});
    assert!(edits.contains(&set) && edits.contains(&delete), "{edits:?}");
    let left = about(&plan["left_out"], &base);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["topic"], json!(name("left")));
    assert_eq!(left[0]["reason"], "excluded by pattern `.*-left`");

    let Ran { code, stdout, stderr } = mirrormesh("plan", &topology, &[]).await;
    assert_eq!(code, 0, "{stderr}");
    let line = |parts: &[&str]| stdout.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for parts in [
        &["flow", &base, "(east → west)"][..],
        &[&name("new"), &remote("new"), "2", &pattern],
        &[&remote("wide"), "1", "3"],
        &[&remote("changed"), "cleanup.policy", "delete", "compact"],
        &[&remote("changed"), "retention.ms", "5", "(the target's default)"],
        &[&name("left"), "excluded by pattern `.*-left`"],
    ] {
        assert!(line(parts), "no line with {parts:?} in:\n{stdout}");
    }

    assert_eq!([topics_with(east, &base).await, topics_with(west, &base).await], before);
    let again = mirrormesh("plan", &topology, &["--json"]).await.json();
    assert_eq!(about(&again["flows"][0]["config_changes"], &base), about(&plan["config_changes"], &base));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_named() {
    let pair = pair().await;
    let east = format!("  east: {{ bootstrap: '{}' }}\n", pair.east.bootstrap());
    let flows = flow("away", "east", "north", &["orders"], &[]);
    let topology = with_north_away(&flows).replacen("clusters:\n", &format!("clusters:\n{east}"), 1);
    let ran = mirrormesh("plan", &topology, &[]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in ["cluster `north`", "127.0.0.1:1", "flow away: no plan without both its clusters"] {
        assert!(ran.stderr.contains(part), "{part} is missing in {ran:?}");
    }
    assert!(!ran.stderr.contains("cluster `east`"), "{ran:?}");

    let ran = mirrormesh("check", &topology, &["--json"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = ran.json();
    let problems = report["problems"].as_array().expect("a report has problems");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["code"], "unreachable");
    assert_eq!(problems[0]["key"], "clusters.north.bootstrap");
    assert!(problems[0].to_string().contains("127.0.0.1:1"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_only_the_clusters_know() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("checked");
    east.create_topic(&name, 1, &[("max.message.bytes", "5000")]).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let sound = topology(&[&pair.east, &pair.west], &flows);
    let ran = mirrormesh("check", &sound, &["--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!((&ran.json()["ok"], &ran.json()["problems"]), (&json!(true), &json!([])));

    // Smaller on the target: a warning only.
    let remote = format!("east.{name}");
    west.create_topic(&remote, 1, &[("max.message.bytes", "4000")]).await;
    let ran = mirrormesh("check", &sound, &["--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(0), &json!(1)));
    let told = report["problems"][0].to_string();
    for part in ["message_size", &name, "5000", &remote, "4000"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }

    // The same cluster under two names, which only its id tells.
    let other_name = pair.east.bootstrap().replace("127.0.0.1", "localhost");
    let twin = format!("  twin: {{ bootstrap: '{other_name}' }}\n");
    let flows = flow(&name, "east", "twin", &[&name], &[]);
    let twice = topology(&[&pair.east], &flows).replacen("clusters:\n", &format!("clusters:\n{twin}"), 1);
    let ran = mirrormesh("check", &twice, &[]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.contains(&format!("east and twin are one cluster (id {})", pair.east.id())),
        "{ran:?}"
    );
}

/// The last position of each partition of a topic, as the positions topic has it.
async fn positions(client: &KafkaClient, source: &str, flow: &str, topic: &str) -> BTreeMap<i64, Value> {
    let records = client.consume_all(&format!("__mirrormesh-positions.{source}")).await.remove(0);
    let json = |bytes: &Option<Vec<u8>>| serde_json::from_slice::<Value>(bytes.as_deref().unwrap_or(b"null"));
    let mut found = BTreeMap::new();
    for consumed in records {
        let key = json(&consumed.record.key).expect("a key is JSON");
        if key[0] == "position" && key[1] == flow && key[2] == topic {
            let partition = key[3].as_i64().expect("a key names its partition");
            found.insert(partition, json(&consumed.record.value).expect("a value is JSON"));
        }
    }
    found
}

/// SIGTERM: nothing is left in flight, and the positions say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_mirror_leaves_clean_positions() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("drained");
    east.create_topic(&name, 2, &[]).await;
    for (partition, count) in [(0, 70), (1, 30)] {
        east.produce(&name, partition, TestRecord::numbered(count)).await;
    }
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &format!("east.{name}")).await;
    assert_eq!(mirror.terminate().await, Some(0));
    let last = positions(west, "east", &name, &name).await;
    for (partition, count) in [(0, 70), (1, 30)] {
        let position = &last[&partition];
        assert_eq!(position["clean"], true, "{position}");
        assert_eq!(position["source_next"], count, "{position}");
        assert_eq!(position["target_next"], count, "{position}");
    }
    // While it runs they are not clean: what comes next may be written before it is said.
    mirror.launch();
    wait_for("both positions to be no longer clean", async || {
        let last = positions(west, "east", &name, &name).await;
        if last.values().all(|position| position["clean"] == false) {
            Ok(())
        } else {
            Err(format!("{last:?}"))
        }
    })
    .await;
    assert_eq!(mirror.terminate().await, Some(0));
}
