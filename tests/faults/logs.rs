//! Source logs that are old, cleaned or damaged.

use mirrormesh::telemetry::clock::now_ms;
use serde_json::Value;

use crate::common::topologies::{flow, topology, topology_at};
use crate::common::{
    Cluster, Engine, Listener, Produce, Proxy, TestRecord, await_exact, await_growth, damage, stored_batches,
    verify_exact, wait_for,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How many records the partitions of a topic have had; 0 while it is missing.
async fn written(cluster: &Cluster, topic: &str) -> i64 {
    match cluster.client().topics().await.contains_key(topic) {
        true => cluster.client().end_offsets(topic).await.iter().sum(),
        false => 0,
    }
}

/// R1, R2, R3: ten-day-old records through cut connections, to a broker that forgets their producers at once: it
/// goes by the records' timestamps, and would take a repeated batch as new.
#[tokio::test(flavor = "multi_thread")]
async fn old_records_cross_cut_connections_once() {
    const PARTITIONS: i32 = 4;
    const RECORDS: usize = 15_000;
    const CUTS: usize = 6;
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(
        Cluster::builder("east").proxied().start(),
        Cluster::builder("west").proxied().property("producer.id.expiration.check.interval.ms", 100).start()
    );
    east.client().create_topic("old", PARTITIONS, &[]).await;
    let began = now_ms() - 10 * DAY_MS;
    for partition in 0..PARTITIONS {
        let record = |n: usize| {
            let value = format!("{n:<300}");
            TestRecord::new(&format!("k-{n}"), &value).at(began + i64::try_from(n).expect("a small number"))
        };
        let records = (0..RECORDS).map(record).collect();
        east.client().produce_with("old", partition, records, Produce::new().batch_records(50)).await;
    }
    let flows = flow("backfill", "east", "west", &["old"], &["start: earliest"]);
    let topology = topology_at(&[&east, &west], Listener::Link, &flows);
    // Slow enough to be cut on the way, however long the test takes to look: 18 MB in all.
    west.link(|proxy| proxy.set_bandwidth(Some(1_000_000)));
    let mirror = Engine::Passthrough.start(&topology, &["positions.interval=1s"]);
    let all = i64::from(PARTITIONS) * i64::try_from(RECORDS).expect("a small number");
    for cut in 0..CUTS {
        let before = written(&west, "east.old").await;
        wait_for("the copy to grow", async || match written(&west, "east.old").await {
            now if now >= before + all / 20 => Ok(()),
            now => Err(format!("{before} to {now} of {all}")),
        })
        .await;
        assert!(written(&west, "east.old").await < all, "the copy was whole before cut {cut}");
        // Answers are lost on the target's side, batches on the source's.
        let cluster = if cut % 3 == 2 { &east } else { &west };
        cluster.link(Proxy::cut);
        cluster.link(Proxy::restore);
    }
    west.link(|proxy| proxy.set_bandwidth(None));
    await_growth(&format!("{all} records on west"), all, async || Ok(written(&west, "east.old").await)).await;
    assert_eq!(mirror.terminate().await, Some(0));
    let count = verify_exact(east.client(), "old", west.client(), "east.old").await;
    assert_eq!(i64::try_from(count), Ok(all));
}

/// R1: the source's cleaner has marked its tombstones with the time at which they may go. That time has come, yet
/// on the target they stay as long as the target says.
#[tokio::test(flavor = "multi_thread")]
async fn tombstones_stay_as_long_as_the_target_says() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    let (here, there) = (east.client(), west.client());
    let compacted = |retention| {
        [
            ("cleanup.policy", "compact"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("delete.retention.ms", retention),
        ]
    };
    // Long enough to stop the cleaner between the mark and the time, also where all takes longer.
    here.create_topic("state", 1, &compacted("8000")).await;
    there.create_topic("east.state", 1, &compacted("86400000")).await;
    here.produce("state", 0, TestRecord::numbered(50)).await;
    let tombstone = |n: usize| TestRecord { value: None, ..TestRecord::new(&format!("k-{n}"), "") };
    here.produce("state", 0, (0..10).map(tombstone).collect()).await;
    let horizon = wait_for("the source's cleaner to mark the tombstones", async || {
        here.produce("state", 0, vec![TestRecord::new("roll", "")]).await;
        horizon(&east, "state").ok_or_else(|| "no batch is marked".to_owned())
    })
    .await;
    // Puts everything else back to its default: nothing is cleaned any more, and the tombstones stay for now.
    here.set_topic_config("state", "cleanup.policy", "delete").await;
    wait_for("the time at which the source's tombstones may go", async || {
        if now_ms() > horizon { Ok(()) } else { Err(format!("it is {} and will be {horizon}", now_ms())) }
    })
    .await;
    assert_eq!(tombstones(&east, "state").await, 10, "the source still has them");
    assert_eq!(self::horizon(&east, "state"), Some(horizon), "and they are still marked");

    let lines = ["topic_configs: { enabled: false }", "start: earliest"];
    let flows = flow("state", "east", "west", &["state"], &lines);
    let mirror = Engine::Passthrough.start(&topology(&[&east, &west], &flows), &[]);
    // Older records of `roll` may be cleaned away already, the last of all stays.
    let last = here.consume_all("state").await[0].last().expect("the source has records").record.clone();
    wait_for("the last record to arrive", async || {
        if !there.topics().await.contains_key("east.state") {
            return Err("the topic is not there".to_owned());
        }
        let copied = there.consume_all("east.state").await.remove(0);
        if copied.last().is_some_and(|copied| copied.record == last) {
            Ok(())
        } else {
            Err(format!("{} records", copied.len()))
        }
    })
    .await;
    assert_eq!(mirror.terminate().await, Some(0));

    // A key that was mirrored is written once more. Once its older record is gone, the cleaner has been through
    // all that came before it, tombstones included.
    there.produce("east.state", 0, vec![TestRecord::new("k-40", "again")]).await;
    wait_for("the target's cleaner", async || {
        there.produce("east.state", 0, vec![TestRecord::new("target-roll", "")]).await;
        let records = there.consume_all("east.state").await.remove(0);
        match records.iter().filter(|consumed| consumed.record.key.as_deref() == Some(b"k-40")).count() {
            1 => Ok(()),
            count => Err(format!("{count} records of k-40")),
        }
    })
    .await;
    assert_eq!(tombstones(&west, "east.state").await, 10, "tombstones are gone before their time");
}

async fn tombstones(cluster: &Cluster, topic: &str) -> usize {
    let records = cluster.client().consume_all(topic).await.remove(0);
    records.iter().filter(|consumed| consumed.record.value.is_none()).count()
}

/// When the tombstones of a log may go, as its cleaner noted; `None` before it was there.
fn horizon(cluster: &Cluster, topic: &str) -> Option<i64> {
    let batches = stored_batches(cluster.broker(), topic, 0);
    let marked = batches.iter().find(|batch| batch.header().has_delete_horizon());
    marked.map(|batch| batch.header().base_timestamp_ms)
}

/// R9, R10: a bit of a stored batch has flipped: it is not forwarded, its partition says where and why, and the
/// other one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_not_forwarded() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    east.client().create_topic("orders", 2, &[]).await;
    for partition in 0..2 {
        // Each call writes batches of its own.
        for _ in 0..3 {
            east.client().produce("orders", partition, TestRecord::numbered(10)).await;
        }
    }
    east.broker().stop().await;
    damage(east.broker(), "orders", 0, 10);
    east.broker().start().await;
    let flows = flow("damaged", "east", "west", &["orders"], &["start: earliest"]);
    let mirror = Engine::Passthrough.start(&topology(&[&east, &west], &flows), &[]);
    let faulted = async || {
        wait_for("the damaged partition to be faulted, and the other one to be done", async || {
            let status = mirror.status().await?;
            let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
            let all: Vec<Value> =
                all.into_iter().filter(|partition| partition["topic"] == "orders").collect();
            let [damaged, sound] = all.as_slice() else { return Err(status["flows"][0].to_string()) };
            match damaged["fault"] == "corrupt_source"
                && damaged["source_next"] == 10
                && sound["lag_records"] == 0
            {
                true => Ok(damaged["reason"].as_str().unwrap_or_default().to_owned()),
                false => Err(format!("{damaged} {sound}")),
            }
        })
        .await
    };
    let reason = faulted().await;
    for part in ["orders", "10", "east"] {
        assert!(reason.contains(part), "{part} is missing in {reason}");
    }
    east.client().produce("orders", 1, TestRecord::numbered(5)).await;
    wait_for("the other partition to go on", async || {
        match west.client().end_offsets("east.orders").await[1] {
            35 => Ok(()),
            end => Err(end.to_string()),
        }
    })
    .await;
    assert_eq!(west.client().end_offsets("east.orders").await, [10, 35], "nothing from the damaged batch on");

    // Mended, it goes on where it was.
    east.broker().stop().await;
    damage(east.broker(), "orders", 0, 10);
    east.broker().start().await;
    assert_eq!(await_exact(east.client(), "orders", west.client(), "east.orders").await, 65);
    assert_eq!(mirror.terminate().await, Some(0));
}
