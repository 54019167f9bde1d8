//! Kafka 3.9 and 4.3, each as source and as target.

use std::collections::BTreeMap;

use crate::common::topologies::{flow, topology};
use crate::common::{
    Cluster, Ending, Engine, KafkaClient, Produce, Release, TestRecord, await_exact, wait_for,
};

/// Records that copies like to change.
fn odd_records() -> Vec<TestRecord> {
    let plain = TestRecord::new("k", "v").at(1_600_000_000_000);
    vec![
        TestRecord { key: None, ..plain.clone() }
            .header("b", Some(b"2"))
            .header("a", None)
            .header("b", Some(b"")),
        TestRecord { value: None, ..plain.clone() }.header("", Some(&[0, 159, 146, 150])),
        TestRecord { key: Some(vec![0, 255]), value: Some(Vec::new()), ..plain }.at(1),
    ]
}

/// Fills a cluster: every codec with odd headers, transactions of both endings, and a log that was compacted.
async fn fill(client: &KafkaClient) {
    client.create_topic("orders", 2, &[]).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        client.produce_with("orders", 0, TestRecord::numbered(50), Produce::new().codec(codec)).await;
        client.produce_with("orders", 1, odd_records(), Produce::new().codec(codec)).await;
    }
    for ending in [Ending::Commit, Ending::Abort, Ending::Commit] {
        client
            .produce_with("orders", 1, TestRecord::numbered(20), Produce::new().transaction("t", ending))
            .await;
    }
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "86400000"),
    ];
    client.create_topic("state", 1, &compacted).await;
    for round in 0..4 {
        let keyed = |n: usize| TestRecord::new(&format!("k-{n}"), &format!("round {round}"));
        client.produce("state", 0, (0..50).map(keyed).collect()).await;
    }
    let tombstone = |n: usize| TestRecord { value: None, ..TestRecord::new(&format!("k-{n}"), "") };
    client.produce("state", 0, (0..10).map(tombstone).collect()).await;
    wait_for("the source to be compacted", async || {
        client.produce("state", 0, vec![TestRecord::new("roll", "")]).await;
        match client.consume_all("state").await[0].len() {
            records if records < 150 => Ok(()),
            records => Err(format!("{records} records")),
        }
    })
    .await;
}

async fn newest(client: &KafkaClient, topic: &str) -> BTreeMap<Option<Vec<u8>>, Option<Vec<u8>>> {
    let records = client.consume_all(topic).await.remove(0);
    records.into_iter().map(|consumed| (consumed.record.key, consumed.record.value)).collect()
}

/// R1, R2, R3, R8: both ways at once; what comes later, comes too.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_is_mirrored_to_and_from() {
    let _seats = crate::seats(2).await;
    let (old, new) = tokio::join!(
        Cluster::builder("old").release(Release::V3_9).start(),
        Cluster::builder("new").release(Release::V4_3).start()
    );
    tokio::join!(fill(old.client()), fill(new.client()));
    let flows = flow("up", "old", "new", &["orders", "state"], &["start: earliest"])
        + &flow("down", "new", "old", &["orders", "state"], &["start: earliest"]);
    let mirror = Engine::Passthrough.start(&topology(&[&old, &new], &flows), &[]);
    mirror.ready().await;
    for (from, to) in [(&old, &new), (&new, &old)] {
        let remote = |topic: &str| format!("{}.{topic}", from.name());
        let count = await_exact(from.client(), "orders", to.client(), &remote("orders")).await;
        assert_eq!(count, 250 + 15 + 40, "from {}", from.name());
        // Both sides are compacted on their own, so the last value of each key is what must agree.
        let goal = newest(from.client(), "state").await;
        wait_for(&format!("the newest values of {}", from.name()), async || {
            match newest(to.client(), &remote("state")).await {
                found if found == goal => Ok(()),
                found => Err(format!("{} keys of {}", found.len(), goal.len())),
            }
        })
        .await;
        assert_eq!(goal.values().filter(|value| value.is_none()).count(), 10, "tombstones");
        from.client().produce("orders", 0, odd_records()).await;
        await_exact(from.client(), "orders", to.client(), &remote("orders")).await;
    }
    assert_eq!(mirror.terminate().await, Some(0));
}
