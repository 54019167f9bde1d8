//! The stored offset map says what both logs say; and so do MirrorMaker 2's offset syncs.

use std::time::Duration;

use mirrormesh::formats::OffsetSync;
use mirrormesh::model::TopicPartition;
use mirrormesh::offsets::{OffsetMap, Translation};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::common::topologies::{flow, topology, topology_as};
use crate::common::{
    Between, Ending, Engine, KafkaClient, Listener, Pair, Produce, TestRecord, await_exact, blocking,
    both_engines, log_view, map_differs, pair, stored_offsets, topic, wait_for,
};

both_engines! {
    the_map_is_stored_and_exact_with_transactions_and_restarts,
    a_compacted_source_is_exact_at_every_record,
    a_new_source_topic_gets_a_new_map,
    what_was_mirrored_before_there_was_a_map_is_unknown,
}

/// `count` records with values that no other has, from `first` on.
fn unique(first: usize, count: usize) -> Vec<TestRecord> {
    (first..first + count).map(|n| TestRecord::new(&format!("k-{n}"), &format!("v-{n}"))).collect()
}

/// The stored map of a topic's only partition, by what the source is called and the flow's name.
async fn stored_map(pair: &Pair, source: &str, name: &str) -> Result<OffsetMap, String> {
    let mut offsets = stored_offsets(pair.west.bootstrap(), source, name).await;
    assert!(offsets.damaged.is_empty(), "{:?}", offsets.damaged);
    offsets.maps.remove(&TopicPartition::new(name, 0)).ok_or_else(|| "no map is stored".to_owned())
}

/// Waits until the stored map of a topic's only partition is the truth from `known_from` on, and returns it.
async fn map_is_true(pair: &Pair, name: &str, known_from: i64, between: Between) -> OffsetMap {
    let (east, west) = (pair.east.client(), pair.west.client());
    wait_for(&format!("the stored map of {name} to say what the logs say"), async || {
        let map = stored_map(pair, "east", name).await?;
        let (here, there) = (log_view(east, name, 0).await, log_view(west, &format!("east.{name}"), 0).await);
        match map_differs(&map, &here, &there, known_from, between) {
            Some(difference) => Err(difference),
            None => Ok(map),
        }
    })
    .await
}

async fn transactions(client: &KafkaClient, name: &str, first: usize, rounds: usize) {
    for round in 0..rounds {
        let ending = if round % 2 == 0 { Ending::Commit } else { Ending::Abort };
        let transaction = Produce::new().transaction(name, ending);
        client.produce_with(name, 0, unique(first + round * 10, 7), transaction).await;
    }
}

/// Markers and aborted records leave gaps on the source; the map is exact all the same, after a clean stop, after a
/// kill, and when it was loaded and went on.
async fn the_map_is_stored_and_exact_with_transactions_and_restarts(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("mapped");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, unique(0, 100)).await;
    transactions(east, &name, 1_000, 6).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &remote).await;
    map_is_true(pair, &name, 0, Between::Exact).await;

    transactions(east, &name, 2_000, 5).await;
    await_exact(east, &name, west, &remote).await;
    assert_eq!(mirror.terminate().await, Some(0));
    map_is_true(pair, &name, 0, Between::Exact).await;

    mirror.launch();
    mirror.ready().await;
    transactions(east, &name, 3_000, 5).await;
    await_exact(east, &name, west, &remote).await;
    mirror.kill();
    // What the kill kept from being stored is found again.
    mirror.launch();
    mirror.ready().await;
    east.produce(&name, 0, unique(4_000, 1)).await;
    await_exact(east, &name, west, &remote).await;
    map_is_true(pair, &name, 0, Between::Exact).await;
}

/// Compaction leaves gaps on the source, before it is mirrored and while it is.
async fn a_compacted_source_is_exact_at_every_record(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("map-compacted");
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "100"),
    ];
    east.create_topic(&name, 1, &compacted).await;
    // Kept whole on the target, so that every copy can be found.
    west.create_topic(&format!("east.{name}"), 1, &[]).await;
    // Every third record's key comes again in each round.
    let round = |round: usize| -> Vec<TestRecord> {
        let key = |n: usize| if n.is_multiple_of(3) { format!("k-{n}") } else { format!("k-{round}-{n}") };
        (0..60).map(|n| TestRecord::new(&key(n), &format!("v-{round}-{n}"))).collect()
    };
    for number in 0..3 {
        east.produce(&name, 0, round(number)).await;
    }
    wait_for("the source to be compacted", async || {
        // A segment ends when something is written after its time.
        east.produce(&name, 0, vec![TestRecord::new("end", &crate::common::random_text(12))]).await;
        let records = east.consume_all(&name).await.remove(0);
        let gaps = records.windows(2).filter(|pair| pair[1].offset > pair[0].offset + 1).count();
        if gaps > 20 { Ok(()) } else { Err(format!("{gaps} gaps")) }
    })
    .await;
    let no_sync = "topic_configs: {enabled: false}";
    let flows = flow(&name, "east", "west", &[&name], &[no_sync]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    let map = map_is_true(pair, &name, 0, Between::Safe).await;
    assert!(map.interval_count() > 20, "{} intervals", map.interval_count());
    east.produce(&name, 0, round(3)).await;
    map_is_true(pair, &name, 0, Between::Safe).await;
    assert_eq!(mirror.terminate().await, Some(0));
}

/// A topic that was deleted and created again has another map, and nothing of the old one is left.
async fn a_new_source_topic_gets_a_new_map(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("map-again");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, unique(0, 100)).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = engine.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &remote).await;
    let old = map_is_true(pair, &name, 0, Between::Exact).await;

    east.delete_topic(&name).await;
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, unique(500, 40)).await;
    let map = map_is_true(pair, &name, 0, Between::Exact).await;
    assert_ne!(map.identity(), old.identity());
    assert_eq!(map.forward(7), Translation::Exact(107));
    // A group that stands in the copy of the old topic has read nothing of the new one.
    assert_eq!(map.backward(50), Translation::EarliestSafe(0));
    assert_eq!(mirror.terminate().await, Some(0));
}

/// A flow that ran before there were maps: what is not known is not invented.
async fn what_was_mirrored_before_there_was_a_map_is_unknown(engine: Engine) {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("map-later");
    // So the test has a topic of maps for its own.
    let source = format!("older-{}", engine.name());
    east.create_topic(&name, 1, &[]).await;
    east.produce(&name, 0, unique(0, 50)).await;
    let flows = flow(&name, &source, "west", &[&name], &["heartbeats: {enabled: false}"]);
    let clusters = [(source.as_str(), &pair.east), ("west", &pair.west)];
    let mirror = engine.start(&topology_as(&clusters, Listener::Internal, &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &format!("{source}.{name}")).await;
    assert_eq!(mirror.terminate().await, Some(0));
    assert_eq!(stored_map(pair, &source, &name).await.expect("a map").forward(10), Translation::Exact(10));

    west.delete_topic(&format!("__mirrormesh-offsets.{source}")).await;
    assert!(stored_map(pair, &source, &name).await.is_err(), "a topic that is missing says nothing");
    mirror.launch();
    mirror.ready().await;
    east.produce(&name, 0, unique(50, 10)).await;
    await_exact(east, &name, west, &format!("{source}.{name}")).await;
    assert_eq!(mirror.terminate().await, Some(0));
    let map = stored_map(pair, &source, &name).await.expect("a map");
    for (offset, expected) in [
        (10, Translation::Unknown),
        (49, Translation::Unknown),
        (50, Translation::Exact(50)),
        (55, Translation::Exact(55)),
        (60, Translation::Exact(60)),
    ] {
        assert_eq!(map.forward(offset), expected, "source offset {offset}");
        assert_eq!(map.backward(offset), expected, "target offset {offset}");
    }
}

/// Small transactions from one producer: a gap after each.
async fn many_transactions(client: &KafkaClient, name: &str, count: usize) {
    let mut config = client.config();
    config.set("transactional.id", name).set("linger.ms", "0");
    let (client, name) = (client.clone(), name.to_owned());
    blocking(move || {
        let wait = Duration::from_secs(30);
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(wait).expect("transactions");
        for n in 0..count {
            producer.begin_transaction().expect("a transaction begins");
            let (key, value) = (format!("k-{n}"), format!("v-{n}"));
            let record = BaseRecord::to(&name).partition(0).key(&key).payload(&value);
            producer.send(record).expect("there is room");
            producer.commit_transaction(wait).expect("a transaction ends");
        }
        // A record and a marker each.
        client.await_marker(&name, 0, 2 * count as i64 - 2);
    })
    .await;
}

/// What the source no longer has is dropped from the stored map too; the rest stays exact.
#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_trimmed_below_the_source() {
    const TRANSACTIONS: usize = 1_200;
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("map-trimmed");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    many_transactions(east, &name, TRANSACTIONS).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = Engine::Passthrough.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &remote).await;
    let map = map_is_true(pair, &name, 0, Between::Exact).await;
    assert_eq!(map.interval_count(), TRANSACTIONS as u64);
    assert_eq!(mirror.terminate().await, Some(0));

    // A record and a marker each.
    let start = (TRANSACTIONS + TRANSACTIONS / 4) as i64;
    east.delete_records(&name, 0, start).await;
    mirror.launch();
    mirror.ready().await;
    let trimmed = wait_for("the stored map to be trimmed", async || {
        let map = map_is_true(pair, &name, start, Between::Exact).await;
        match map.interval_count() {
            count if count < TRANSACTIONS as u64 => Ok(map),
            count => Err(format!("{count} intervals")),
        }
    })
    .await;
    let first = trimmed.intervals().next().expect("the later part is there");
    assert!(first.source_base <= start, "{first:?} begins behind {start}");
    let below = trimmed.forward(0);
    assert!(
        matches!(below, Translation::EarliestSafe(at) if at <= first.target_base),
        "an offset below is where what is left begins, or before: {below:?}"
    );
    assert_eq!(mirror.terminate().await, Some(0));
}

/// The syncs of a topic's only partition, in their order.
async fn syncs(client: &KafkaClient, topic: &str, name: &str) -> Result<Vec<(i64, i64)>, String> {
    if !client.topics().await.contains_key(topic) {
        return Err(format!("{topic} is not there"));
    }
    let records = client.consume_all(topic).await.remove(0);
    let decoded = records.iter().map(|read| {
        OffsetSync::decode(read.record.key.as_deref(), read.record.value.as_deref())
            .expect("a sync, and no tombstone")
    });
    let ours = decoded.filter(|sync| sync.topic == name && sync.partition == 0);
    Ok(ours.map(|sync| (sync.upstream_offset, sync.downstream_offset)).collect())
}

/// By default on the target, named after the source; or on the source, named after the target: always the pair of the
/// last mirrored record, and nothing while nothing moves.
#[tokio::test(flavor = "multi_thread")]
async fn offset_syncs_name_the_last_mirrored_record() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    for (key, client, place) in [
        ("target", west, "mm2-offset-syncs.east.internal"),
        ("source", east, "mm2-offset-syncs.west.internal"),
    ] {
        let name = topic("synced");
        let remote = format!("east.{name}");
        east.create_topic(&name, 1, &[]).await;
        let aborted = Produce::new().transaction(&name, Ending::Abort);
        east.produce_with(&name, 0, unique(0, 5), aborted).await;
        east.produce(&name, 0, unique(10, 20)).await;
        let more = [format!("offset_syncs: {key}"), "groups: {interval: 200ms}".to_owned()];
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let flows = flow(&name, "east", "west", &[&name], &more);
        let mirror = Engine::Passthrough.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
        mirror.ready().await;
        await_exact(east, &name, west, &remote).await;
        let ends_with = async |pair: (i64, i64)| {
            wait_for(&format!("the sync {pair:?} in {place}"), async || {
                match syncs(client, place, &name).await? {
                    all if all.last() == Some(&pair) => Ok(all),
                    all => Err(format!("{all:?}")),
                }
            })
            .await
        };
        // Five aborted records and their marker come first.
        ends_with((25, 19)).await;
        east.produce(&name, 0, unique(40, 3)).await;
        let all = ends_with((28, 22)).await;
        let repeated = all.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(repeated, 0, "written though nothing moved: {all:?}");
        assert_eq!(mirror.terminate().await, Some(0));
    }
}
