//! Remote topics: what they are created with, and how they follow their source.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminOptions, ConfigSource, ResourceSpecifier};

use crate::common::topologies::{flow, topology};
use crate::common::{
    Cluster, Engine, KafkaClient, MirrorProcess, TestRecord, await_exact, both_engines, pair, topic, wait_for,
};

both_engines! { a_remote_topic_with_fewer_partitions_grows }

/// Set on every remote topic when it is created, so that it takes what the source takes. Not looked at after
/// that: where the brokers' defaults are the same, as here, it is all one whether it is set.
const TIMESTAMP_AFTER: &str = "message.timestamp.after.max.ms";

/// The entries that are set on a topic; a mirror that is ready may not have created it yet.
async fn set_on(client: &KafkaClient, topic: &str) -> Result<BTreeMap<String, String>, String> {
    let answers =
        client.admin().describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await;
    let answer = answers.map_err(|error| error.to_string())?.remove(0).map_err(|code| code.to_string())?;
    let own = answer.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    Ok(own.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect())
}

fn entries(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn await_entries(what: &str, client: &KafkaClient, topic: &str, wanted: &BTreeMap<String, String>) {
    wait_for(what, async || {
        let mut set = set_on(client, topic).await?;
        set.remove(TIMESTAMP_AFTER);
        if set == *wanted { Ok(()) } else { Err(format!("{set:?}")) }
    })
    .await;
}

/// Created alike without what is excluded; then follows changes, removals, and undoes what was done by hand.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_remote_topics_follows_the_source() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("configured");
    let remote = format!("east.{name}");
    let kept = ("cleanup.policy", "compact");
    // The last two are excluded unless someone says otherwise.
    let given = [
        kept,
        ("retention.ms", "1111111"),
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
    ];
    east.create_topic(&name, 1, &given).await;
    let flows = flow(&name, "east", "west", &[&name], &["topic_configs: { interval: 1s }"]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    let wanted = entries(&[kept, ("retention.ms", "1111111")]);
    await_entries("the remote topic to be created", west, &remote, &wanted).await;
    let set = set_on(west, &remote).await.expect("the topic is there");
    assert_eq!(set.get(TIMESTAMP_AFTER).map(String::as_str), Some("3600000"));
    // Other mirrors on these clusters have made the copy of the heartbeats, as their own flows say.
    let changes = mirror.events("topic_config_changed").await;
    let changes: Vec<_> = changes.iter().filter(|event| event.to_string().contains(&remote)).collect();
    assert!(changes.is_empty(), "it was created like this, not changed later: {changes:?}");

    // librdkafka's call sets the one and removes all others.
    east.set_topic_config(&name, "retention.ms", "2222222").await;
    let wanted = entries(&[("retention.ms", "2222222")]);
    await_entries("a change and a removal to follow", west, &remote, &wanted).await;

    west.set_topic_config(&remote, "retention.ms", "3333333").await;
    await_entries("a change by hand to be undone", west, &remote, &wanted).await;
    west.set_topic_config(&remote, "max.message.bytes", "4444").await;
    await_entries("an entry set by hand to be removed", west, &remote, &wanted).await;

    // What is excluded stays as somebody set it on the target.
    west.set_topic_config(&remote, "min.insync.replicas", "1").await;
    let wanted = entries(&[("retention.ms", "2222222"), ("min.insync.replicas", "1")]);
    await_entries("all but the excluded to be set again", west, &remote, &wanted).await;
    let told = mirror.events("topic_config_changed").await;
    assert!(
        told.iter().any(|event| event.to_string().contains("2222222") && event.to_string().contains(&remote)),
        "{told:?}"
    );
}

/// R10: an entry that the target refuses is left out, which is told by name.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_the_target_refuses_is_left_out_and_told() {
    let east = &pair().await.east;
    // Together with this default of its brokers, it refuses a topic to keep records uncompacted for longer.
    let strict =
        Cluster::builder("strict").property("log.cleaner.max.compaction.lag.ms", 1_000).start().await;
    let name = topic("refused");
    let remote = format!("east.{name}");
    let given = [("retention.ms", "1111111"), ("min.compaction.lag.ms", "5000")];
    east.client().create_topic(&name, 1, &given).await;
    east.client().produce(&name, 0, TestRecord::numbered(5)).await;
    let flows = flow(&name, "east", "strict", &[&name], &["topic_configs: { interval: 1s }"]);
    let mirror = MirrorProcess::start(&topology(&[east, &strict], &flows), &[]);
    mirror.ready().await;
    await_exact(east.client(), &name, strict.client(), &remote).await;
    let wanted = entries(&[("retention.ms", "1111111")]);
    await_entries("all others to be there", strict.client(), &remote, &wanted).await;
    let refused = mirror.events("topic_config_refused").await;
    let told = refused.first().unwrap_or_else(|| panic!("nothing was told")).to_string();
    for part in [remote.as_str(), "min.compaction.lag.ms", "max.compaction.lag.ms (1000)"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    // The sync tries again with every comparison, and says it once more at most.
    east.client().set_topic_config(&name, "min.compaction.lag.ms", "6000").await;
    await_entries("the removal to follow", strict.client(), &remote, &entries(&[])).await;
    let count = mirror.events("topic_config_refused").await.len();
    assert!(count <= 2, "told {count} times");
}

/// A remote topic that was made with too few partitions gets the others.
async fn a_remote_topic_with_fewer_partitions_grows(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("narrow");
    let remote = format!("east.{name}");
    east.create_topic(&name, 3, &[]).await;
    west.create_topic(&remote, 1, &[]).await;
    for partition in 0..3 {
        east.produce(&name, partition, TestRecord::numbered(20)).await;
    }
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    assert_eq!(await_exact(east, &name, west, &remote).await, 60);
    let told = mirror.events("partitions_added").await;
    assert_eq!(told.len(), 1, "{told:?}");
}
