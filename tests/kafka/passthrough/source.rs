//! What lanes read is what a consumer reads.

use std::collections::VecDeque;

use mirrormesh::model::Isolation;

use super::reading::{ReadLane, Reading};
use crate::common::{
    Consumed, Ending, Isolation as Seen, KafkaClient, Produce, TestRecord, pair, topic, wait_for,
};

const BUDGET_BYTES: usize = 96 << 20;

/// Batches of every codec, outside transactions and in committed and aborted ones.
async fn mixed_topic(client: &KafkaClient) -> String {
    let name = topic("mixed");
    client.create_topic(&name, 1, &[]).await;
    let records = |round: usize| -> Vec<TestRecord> {
        let each =
            |n: usize| TestRecord::new(&format!("{round}-{n}"), &"value ".repeat(n)).header("n", Some(b"1"));
        (0..60).map(each).collect()
    };
    for (round, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let options = || Produce::new().codec(codec).batch_records(25);
        client.produce_with(&name, 0, records(round), options()).await;
        for ending in [Ending::Abort, Ending::Commit, Ending::Abort] {
            client.produce_with(&name, 0, records(round), options().transaction(&name, ending)).await;
        }
    }
    name
}

fn plain(consumed: Vec<Consumed>) -> Vec<(i64, TestRecord)> {
    consumed.into_iter().map(|consumed| (consumed.offset, consumed.record)).collect()
}

/// Reads a partition whole and from offsets within.
async fn assert_read(client: &KafkaClient, name: &str, isolation: Isolation, seen: Seen) {
    let end = client.end_offsets(name).await[0];
    let expected = plain(client.consume_all_with(name, seen).await.remove(0));
    assert!(!expected.is_empty());
    let reading = Reading::start(client, isolation, BUDGET_BYTES);
    for offset in [0, 1, 17, 40, end - 1] {
        let mut lane = reading.lane(name, 0, offset).await;
        let read = lane.read_to(end).await;
        let expected: Vec<_> = expected.iter().filter(|(at, _)| *at >= offset).cloned().collect();
        assert_eq!(read.len(), expected.len(), "from offset {offset}");
        assert_eq!(read, expected, "from offset {offset}");
    }
    reading.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_codecs_and_transactions_are_read_as_a_consumer_reads_them() {
    let east = pair().await.east.client();
    let name = mixed_topic(east).await;
    assert_read(east, &name, Isolation::ReadCommitted, Seen::ReadCommitted).await;
    assert_read(east, &name, Isolation::ReadUncommitted, Seen::ReadUncommitted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_log_is_read_over_its_gaps() {
    let east = pair().await.east.client();
    let name = topic("gaps");
    let configs =
        [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.01")];
    east.create_topic(&name, 1, &configs).await;
    for round in 0..6 {
        let records =
            (0..40).map(|n| TestRecord::new(&format!("k-{}", n % (7 + round)), &format!("{round}-{n}")));
        east.produce_with(&name, 0, records.collect(), Produce::new().codec("lz4").batch_records(20)).await;
    }
    wait_for("the cleaner", async || {
        east.produce(&name, 0, vec![TestRecord::new("roll", "")]).await;
        match east.consume_all(&name).await[0].len() {
            records if records < 200 => Ok(()),
            records => Err(format!("{records} records are left")),
        }
    })
    .await;
    east.set_topic_config(&name, "cleanup.policy", "delete").await;
    // A run that was under way may still end.
    let mut before = Vec::new();
    wait_for("the log to stand still", async || {
        let now = east.consume_all(&name).await.remove(0);
        if now == before {
            Ok(())
        } else {
            Err(format!("{} records", std::mem::replace(&mut before, now).len()))
        }
    })
    .await;
    assert_read(east, &name, Isolation::ReadCommitted, Seen::ReadCommitted).await;
}

/// Far more than the budget, over lanes that are slow to let go: nothing is lost, and memory stays bounded.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_budget_is_kept_and_everything_arrives() {
    const PARTITIONS: i32 = 6;
    const SMALL_BUDGET_BYTES: usize = 1 << 20;
    let east = pair().await.east.client();
    let name = topic("tight");
    east.create_topic(&name, PARTITIONS, &[]).await;
    let value = "v".repeat(10_000);
    for partition in 0..PARTITIONS {
        let records = (0..200).map(|n| TestRecord::new(&format!("{partition}-{n}"), &value)).collect();
        east.produce_with(&name, partition, records, Produce::new().batch_records(10)).await;
    }
    let reading = Reading::start(east, Isolation::ReadCommitted, SMALL_BUDGET_BYTES);
    let mut lanes = Vec::new();
    for partition in 0..PARTITIONS {
        lanes.push(reading.lane(&name, partition, 0).await);
    }
    let budget = reading.budget.clone();
    let hold = |mut lane: ReadLane| {
        let budget = budget.clone();
        async move {
            let (mut held, mut records) = (VecDeque::new(), 0);
            while lane.next < 200 {
                let batch = lane.batch().await;
                records += batch.info.records;
                held.push_back(batch);
                let in_flight = budget.in_flight_bytes();
                assert!(in_flight <= 2 * SMALL_BUDGET_BYTES as u64, "{in_flight} bytes in flight");
                if held.len() > 1 {
                    held.pop_front();
                }
            }
            assert_eq!(records, 200);
        }
    };
    futures::future::join_all(lanes.into_iter().map(hold)).await;
    reading.end().await;
}
