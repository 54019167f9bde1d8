//! What Kafka's own programs make of what MirrorMesh writes for them: MirrorMaker 2's client, and its formatters.

use std::collections::{BTreeMap, BTreeSet};

use mirrormesh::formats::{Checkpoint, Heartbeat, OffsetSync};
use mirrormesh::model::TopicName;
use mirrormesh::store::stored_checkpoints;

use crate::common::topologies::{flow, topology_as};
use crate::common::{
    Consumed, Ending, KafkaClient, Listener, MirrorProcess, Produce, TestRecord, await_exact, java,
    java_source, mirrormesh, pair, random_text, topic, wait_for,
};
use crate::wire::wire;

/// Where a group goes on: group, topic and partition on the target, offset, and the text committed beside.
type Place = (String, String, i32, i64, String);

/// A mirror with an alias of its own for the source, so that its internal topics are its own too.
struct Mirrored {
    source: String,
    /// Without gaps; one partition with records, one without.
    plain: String,
    /// Written in transactions, whose markers are gaps, the last of them aborted.
    gaps: String,
    topology: String,
    mirror: MirrorProcess,
}

/// Groups that two of these could mix up have the topic's random name.
fn group(mirrored: &Mirrored, name: &str) -> String {
    format!("{name}-{}", mirrored.plain)
}

async fn clients() -> (&'static KafkaClient, &'static KafkaClient) {
    let pair = pair().await;
    (pair.east.client(), pair.west.client())
}

impl Mirrored {
    /// Everything that there is so far has been mirrored.
    async fn start() -> Self {
        let pair = pair().await;
        let (east, west) = clients().await;
        let source = format!("east-{}", random_text(8).to_lowercase());
        let (plain, gaps) = (topic("plain"), topic("gaps"));
        for name in [&plain, &gaps] {
            east.create_topic(name, 2, &[]).await;
        }
        east.produce(&plain, 0, TestRecord::numbered(100)).await;
        for (turn, ending) in
            [Ending::Commit, Ending::Commit, Ending::Commit, Ending::Abort].into_iter().enumerate()
        {
            let options = Produce::new().transaction(&format!("{gaps}-{turn}"), ending);
            east.produce_with(&gaps, 0, TestRecord::numbered(7), options).await;
        }
        east.produce(&gaps, 0, TestRecord::numbered(5)).await;

        let topics = [plain.as_str(), gaps.as_str()];
        let more = ["groups:", "  interval: 1s", &format!("  include: ['.*-{plain}']")];
        let flows = flow(&plain, &source, "west", &topics, &more);
        let clusters = [(source.as_str(), &pair.east), ("west", &pair.west)];
        let topology = topology_as(&clusters, Listener::Internal, &flows);
        let mirror = MirrorProcess::start(&topology, &[]);
        mirror.ready().await;
        let mirrored = Self { source, plain, gaps, topology, mirror };
        for name in [&mirrored.plain, &mirrored.gaps] {
            await_exact(east, name, west, &mirrored.remote(name)).await;
        }
        mirrored
    }

    fn remote(&self, topic: &str) -> String {
        format!("{}.{topic}", self.source)
    }

    /// The offset on the target of the first record that a group has not read, or the end.
    async fn first_unread(&self, topic: &str, partition: usize, committed: i64) -> i64 {
        let (east, west) = clients().await;
        let unread =
            |records: &[Consumed]| records.iter().filter(|record| record.offset >= committed).count();
        let unread = unread(&east.consume_all(topic).await[partition]);
        let copies = west.consume_all(&self.remote(topic)).await.swap_remove(partition);
        match copies.len() - unread {
            read if unread > 0 => copies[read].offset,
            _ => west.end_offsets(&self.remote(topic)).await[partition],
        }
    }

    /// Commits for a group on the source, and says where it should go on.
    async fn commit(&self, group: &str, offsets: &[(&str, i32, i64, &str)]) -> BTreeSet<Place> {
        clients().await.0.commit(group, offsets).await;
        let mut places = BTreeSet::new();
        for (topic, partition, offset, text) in offsets {
            let index = usize::try_from(*partition).unwrap();
            let expected = self.first_unread(topic, index, *offset).await;
            places.insert((group.to_owned(), self.remote(topic), *partition, expected, (*text).to_owned()));
        }
        places
    }

    /// What `mirrormesh offsets translate` says of a group, once the maps that it needs are stored: they follow the
    /// records by a moment.
    async fn told(&self, group: &str) -> BTreeSet<Place> {
        let ran = wait_for("exact offsets of the group", async || {
            let ran = mirrormesh("offsets translate", &self.topology, &["--group", group, "--json"]).await;
            let offsets = || ran.json()["offsets"].as_array().unwrap().clone();
            match ran.code == 0 && offsets().iter().all(|entry| entry["worth"] == "exact") {
                true => Ok(ran),
                false => Err(format!("{ran:?}")),
            }
        })
        .await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let offsets = ran.json()["offsets"].as_array().unwrap().clone();
        let place = |entry: &serde_json::Value| {
            let partition = i32::try_from(entry["partition"].as_i64().unwrap()).unwrap();
            let offset = entry["translated_offset"].as_i64().unwrap();
            (
                text(&entry["group"]),
                text(&entry["translated_topic"]),
                partition,
                offset,
                text(&entry["metadata"]),
            )
        };
        offsets.iter().map(place).collect()
    }

    /// Waits until the checkpoints of a group are these.
    async fn await_checkpoints(&self, group: &str, expected: &BTreeSet<Place>) {
        let wire = wire(clients().await.1.bootstrap());
        let name = TopicName::from(self.checkpoints());
        wait_for("the group's checkpoints", async || {
            let mut stored = stored_checkpoints(&wire, &name).await.map_err(|error| error.to_string())?;
            let of_group = stored.checkpoints.remove(group).unwrap_or_default();
            let place = |last: Checkpoint| {
                (last.group, last.topic, last.partition, last.downstream_offset, last.metadata)
            };
            let found: BTreeSet<Place> = of_group.into_values().map(place).collect();
            if found == *expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
        })
        .await;
    }

    fn checkpoints(&self) -> String {
        format!("{}.checkpoints.internal", self.source)
    }
}

/// What MirrorMaker 2's client says of groups, by the way it was asked.
async fn found_by_java(mirrored: &Mirrored, groups: &[&str]) -> BTreeMap<String, BTreeSet<Place>> {
    let target = clients().await.1.bootstrap();
    let said =
        java(&java_source("RemoteOffsets.java"), &[&[target, &mirrored.source], groups].concat()).await;
    let mut found: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
    for line in said.lines() {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [way, group, topic, partition, offset, ref text @ ..] = fields[..] else { panic!("{line:?}") };
        let text = text.first().copied().unwrap_or_default().to_owned();
        let place =
            (group.to_owned(), topic.to_owned(), partition.parse().unwrap(), offset.parse().unwrap(), text);
        found.entry(way.to_owned()).or_default().insert(place);
    }
    found
}

#[tokio::test]
async fn mirror_makers_client_sends_groups_where_mirrormesh_offsets_does() {
    let mirrored = Mirrored::start().await;
    let (near, far) = (group(&mirrored, "near"), group(&mirrored, "far"));
    let (plain, gaps) = (mirrored.plain.as_str(), mirrored.gaps.as_str());
    let gaps_end = clients().await.0.end_offsets(gaps).await[0];
    let rounds = [
        // At the end, in the middle, before anything, within a transaction; and on partitions without records.
        (
            vec![(plain, 0, 100, ""), (gaps, 0, gaps_end, "at the end"), (gaps, 1, 0, "")],
            vec![(plain, 0, 0, "x"), (gaps, 0, 11, "")],
        ),
        // Further, after markers and the aborted transaction; and one that went back.
        (
            vec![(plain, 0, 99, "back"), (gaps, 0, 24, ""), (gaps, 1, 0, "")],
            vec![(plain, 0, 50, "y z"), (gaps, 0, 32, "")],
        ),
    ];
    for (of_near, of_far) in rounds {
        let mut expected = BTreeSet::new();
        for (group, offsets) in [(&near, of_near), (&far, of_far)] {
            let places = mirrored.commit(group, &offsets).await;
            assert_eq!(mirrored.told(group).await, places);
            mirrored.await_checkpoints(group, &places).await;
            expected.extend(places);
        }
        let found = found_by_java(&mirrored, &[&near, &far]).await;
        assert!(found.keys().eq(["client", "pattern", "utils"]), "{found:?}");
        for (way, places) in found {
            assert_eq!(places, expected, "{way}");
        }
    }

    // A failover is when nobody else answers any more.
    assert_eq!(mirrored.mirror.terminate().await, Some(0));
    let found = found_by_java(&mirrored, &[&near]).await;
    assert_eq!(found["utils"], mirrored.told(&near).await);
    assert!(found_by_java(&mirrored, &["nobody"]).await.is_empty());
}

/// What Kafka's console consumer prints of a topic's records.
async fn printed(topic: &str, formatter: &str, records: usize) -> Vec<String> {
    let (records, formatter) =
        (records.to_string(), format!("org.apache.kafka.connect.mirror.formatters.{formatter}"));
    let target = clients().await.1.bootstrap();
    let arguments = [
        ["--bootstrap-server", target],
        ["--topic", topic],
        ["--formatter", &formatter],
        ["--max-messages", &records],
        ["--timeout-ms", "60000"],
    ];
    let arguments = [&arguments.concat(), &["--from-beginning"][..]].concat();
    let said = java("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments).await;
    said.lines().map(str::to_owned).collect()
}

/// The records of a topic on the target, each as `show` makes it of key and value.
async fn shown(topic: &str, show: impl Fn(Option<&[u8]>, Option<&[u8]>) -> String) -> Vec<String> {
    let records = clients().await.1.consume_all(topic).await.swap_remove(0);
    let texts = records.iter().map(|read| show(read.record.key.as_deref(), read.record.value.as_deref()));
    texts.collect()
}

#[tokio::test]
async fn kafkas_console_consumer_prints_all_three_internal_topics() {
    let mirrored = Mirrored::start().await;
    let (source, plain, gaps) = (&mirrored.source, &mirrored.plain, &mirrored.gaps);
    let reader = group(&mirrored, "reader");
    let places = mirrored.commit(&reader, &[(plain, 0, 40, "a text"), (gaps, 0, 11, "")]).await;
    mirrored.await_checkpoints(&reader, &places).await;
    let gaps_end = clients().await.0.end_offsets(gaps).await[0];
    let syncs = format!("mm2-offset-syncs.{source}.internal");
    let (_, west) = clients().await;
    let pair_of = |topic: &str, upstream: i64, downstream: i64| {
        format!(
            "OffsetSync{{topicPartition={topic}-0, upstreamOffset={upstream}, downstreamOffset={downstream}}}"
        )
    };
    // The last record of each partition that has some.
    let last = [
        pair_of(plain, 99, 99),
        pair_of(gaps, gaps_end - 1, west.end_offsets(&mirrored.remote(gaps)).await[0] - 1),
    ];
    let show_sync = |key: Option<&[u8]>, value: Option<&[u8]>| {
        let sync = OffsetSync::decode(key, value).unwrap();
        let OffsetSync { topic, partition, upstream_offset, downstream_offset } = sync;
        format!(
            "OffsetSync{{topicPartition={topic}-{partition}, upstreamOffset={upstream_offset}, \
             downstreamOffset={downstream_offset}}}"
        )
    };
    wait_for("the offset syncs", async || {
        if !west.topics().await.contains_key(&syncs) {
            return Err("no topic".to_owned());
        }
        let found = shown(&syncs, show_sync).await;
        if last.iter().all(|line| found.contains(line)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let heartbeats = mirrored.remote("heartbeats");
    let show_heartbeat = |key: Option<&[u8]>, value: Option<&[u8]>| {
        let Heartbeat { source, target, timestamp_ms } = Heartbeat::decode(key, value).unwrap();
        format!(
            "Heartbeat{{sourceClusterAlias={source}, targetClusterAlias={target}, timestamp={timestamp_ms}}}"
        )
    };
    // MirrorMaker 2 has the opposite flow write them, from the target to the source: so the aliases are the other way.
    let ours = format!("Heartbeat{{sourceClusterAlias=west, targetClusterAlias={source}, ");
    wait_for("our heartbeats to be mirrored", async || {
        if !west.topics().await.contains_key(&heartbeats) {
            return Err("no topic".to_owned());
        }
        let found = shown(&heartbeats, show_heartbeat).await;
        match found.iter().any(|line| line.starts_with(&ours)) {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    })
    .await;
    // Now nothing more is written that could be read once and not twice.
    assert_eq!(mirrored.mirror.terminate().await, Some(0));

    let expected = shown(&syncs, show_sync).await;
    assert_eq!(printed(&syncs, "OffsetSyncFormatter", expected.len()).await, expected);

    let checkpoints = mirrored.checkpoints();
    let expected = shown(&checkpoints, |key, value| {
        let Checkpoint { group, topic, partition, upstream_offset, downstream_offset, metadata } =
            Checkpoint::decode(key, value).unwrap();
        format!(
            "Checkpoint{{consumerGroupId={group}, topicPartition={topic}-{partition}, \
             upstreamOffset={upstream_offset}, downstreamOffset={downstream_offset}, metadata={metadata}}}"
        )
    })
    .await;
    assert!(expected.len() >= places.len());
    assert_eq!(printed(&checkpoints, "CheckpointFormatter", expected.len()).await, expected);

    let expected = shown(&heartbeats, show_heartbeat).await;
    assert_eq!(printed(&heartbeats, "HeartbeatFormatter", expected.len()).await, expected);
}
