//! Claims of a flow and the positions written under them, in the positions topic of a real cluster.

use serde_json::{Value, json};

use crate::common::topologies::{flow, topology};
use crate::common::{
    KafkaClient, MirrorProcess, TestRecord, await_exact, pair, topic as unused_topic, wait_for,
};

const POSITIONS: &str = "__mirrormesh-positions.east";

/// The positions stored of partition 0 of `name`, whose flow has the same name, with their offsets.
async fn stored(west: &KafkaClient, name: &str) -> Vec<(i64, Value)> {
    let key = json!(["position", name, name, 0]);
    let of_partition = west.consume_all(POSITIONS).await.concat().into_iter().filter_map(|consumed| {
        let (found, value) = (consumed.record.key?, consumed.record.value?);
        let found: Value = serde_json::from_slice(&found).ok()?;
        (found == key).then(|| (consumed.offset, serde_json::from_slice(&value).expect("a position is JSON")))
    });
    of_partition.collect()
}

/// Waits until the newest position stands at `next`, and returns it with its offset.
async fn saved(west: &KafkaClient, name: &str, next: i64) -> (i64, Value) {
    wait_for(&format!("the position of {name} to stand at {next}"), async || {
        match stored(west, name).await.pop() {
            Some((offset, position)) if position["source_next"] == next => Ok((offset, position)),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// A position from under an older claim, as a process would write it that has lost the flow and does not know yet.
async fn late(west: &KafkaClient, name: &str, position: &Value) -> i64 {
    let key = json!(["position", name, name, 0]);
    let record = TestRecord::new(&key.to_string(), &position.to_string());
    west.produce(POSITIONS, 0, vec![record]).await[0]
}

/// Waits until the newest position lies behind the offset `came`, and returns it.
async fn written_after(west: &KafkaClient, name: &str, came: i64) -> Value {
    wait_for(&format!("a position of {name} behind offset {came}"), async || {
        match stored(west, name).await.pop() {
            Some((offset, position)) if offset > came => Ok(position),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// R3, R4: a position of a process that has lost the flow counts for nobody, and the owner's comes over it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_from_under_an_older_claim_counts_for_nobody() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = unused_topic("claims");
    east.create_topic(&name, 1, &[]).await;
    let flows = flow(&name, "east", "west", &[&name], &["start: earliest"]);
    let mirror = MirrorProcess::start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    east.produce(&name, 0, TestRecord::numbered(10)).await;
    await_exact(east, &name, west, &format!("east.{name}")).await;
    let (_, first) = saved(west, &name, 10).await;
    assert_eq!(mirror.terminate().await, Some(0));

    mirror.launch();
    mirror.ready().await;
    east.produce(&name, 0, TestRecord::numbered(10)).await;
    await_exact(east, &name, west, &format!("east.{name}")).await;
    let (_, second) = saved(west, &name, 20).await;
    assert!(second["claim"].as_i64() > first["claim"].as_i64(), "{first} {second}");
    let came = late(west, &name, &first).await;
    let again = written_after(west, &name, came).await;
    assert_eq!(again, second, "the owner's comes over the late one");

    // While nobody looks, and then the next process finds it.
    mirror.kill();
    let came = late(west, &name, &first).await;
    mirror.launch();
    mirror.ready().await;
    let again = written_after(west, &name, came).await;
    assert_eq!(again["source_next"], 20, "the next process writes the one that counts");
    east.produce(&name, 0, TestRecord::numbered(5)).await;
    assert_eq!(await_exact(east, &name, west, &format!("east.{name}")).await, 25);
    assert!(mirror.output().contains("overwritten=1"), "it was told:\n{}", mirror.output());
}
