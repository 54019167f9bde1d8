//! Brokers that throttle: client quotas on reading and on writing.

use serde_json::Value;

use crate::common::topologies::{flow, topology_as};
use crate::common::{
    Cluster, KafkaClient, Listener, TestRecord, Twin, await_exact, random_text, twins, wait_for,
};

/// Of each topic: several times what its quota gives before it bites.
const RECORDS: usize = 2_000;
const BYTES_PER_SECOND: u32 = 500_000;
const PARTITIONS: i32 = 4;
/// `client.id` unless it is set: both mirrors share a quota.
const CLIENT_ID: &str = "mirrormesh";

/// Values that compression leaves as they are, nearly.
async fn fill(client: &KafkaClient, topic: &str) {
    client.create_topic(topic, PARTITIONS, &[]).await;
    for partition in 0..PARTITIONS {
        let record = |n: usize| TestRecord::new(&format!("k-{n}"), &random_text(1_000));
        let records = (0..RECORDS / PARTITIONS as usize).map(record).collect();
        client.produce(topic, partition, records).await;
    }
}

fn other_side(source: &str) -> String {
    source.replace("east", "west")
}

/// The lags in records of both flows, `read` first; `None` while one is not known.
fn lags(status: &Value) -> [Option<i64>; 2] {
    ["read", "write"].map(|name| {
        let flow = status["flows"].as_array()?.iter().find(|flow| flow["name"] == name)?;
        let partitions = flow["partitions"].as_array().filter(|all| !all.is_empty())?;
        partitions.iter().map(|partition| partition["lag_records"].as_i64()).sum()
    })
}

/// For how long a cluster throttled the mirror, by call.
fn throttled(status: &Value, alias: &str) -> Value {
    let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
    let cluster = clusters.iter().find(|cluster| cluster["alias"] == alias);
    cluster.map(|cluster| cluster["throttled_ms"].clone()).unwrap_or_default()
}

/// R1, R2, R3, R10: a cluster throttles what is read from it and what is written to it: everything arrives once, the
/// lag stays known, nothing is taken for a fault, and the operator is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_mirror_is_slow_and_nothing_else() {
    let _seats = crate::seats(2).await;
    // Quotas bite after two seconds' worth, not after eleven.
    let east = Cluster::builder("east").property("quota.window.num", 2);
    let (east, west) = tokio::join!(east.start(), Cluster::builder("west").start());
    tokio::join!(
        fill(east.client(), "orders"),
        fill(west.client(), "events"),
        east.limit_client(CLIENT_ID, BYTES_PER_SECOND)
    );
    let twins = twins("east", &[], |source| {
        let west_as = other_side(source);
        let flows = flow("read", source, &west_as, &["orders"], &["start: earliest"])
            + &flow("write", &west_as, source, &["events"], &["start: earliest"]);
        topology_as(&[(source, &east), (&west_as, &west)], Listener::Internal, &flows)
    });
    let [passthrough, records] = &twins;
    tokio::join!(told(passthrough), told(records));
    for twin in &twins {
        await_exact(east.client(), "orders", west.client(), &twin.remote("orders")).await;
        let events = format!("{}.events", other_side(&twin.source));
        await_exact(west.client(), "events", east.client(), &events).await;
        well(twin).await;
    }
}

/// Waits until the mirror says that it is throttled, each way while that flow's lag is known and not 0.
async fn told(twin: &Twin) {
    let mut seen = [false; 2];
    wait_for(&format!("{:?} to be throttled", twin.engine), async || {
        let status = twin.mirror.status().await?;
        let (lags, throttled) = (lags(&status), throttled(&status, &twin.source));
        for ((seen, lag), call) in seen.iter_mut().zip(lags).zip(["Fetch", "Produce"]) {
            *seen |= lag.is_some_and(|lag| lag > 0) && throttled[call].as_u64().is_some_and(|ms| ms > 0);
        }
        if seen == [true; 2] { Ok(()) } else { Err(format!("{seen:?}: {throttled}, lags {lags:?}")) }
    })
    .await;
}

/// Nothing else has happened than that it took its time.
async fn well(twin: &Twin) {
    wait_for(&format!("{:?} to have no lag", twin.engine), async || {
        match lags(&twin.mirror.status().await?) {
            [Some(0), Some(0)] => Ok(()),
            lags => Err(format!("{lags:?}")),
        }
    })
    .await;
    let status = twin.mirror.status().await.expect("/status answers");
    println!("{:?}: {}", twin.engine, throttled(&status, &twin.source));
    assert_eq!(throttled(&status, &other_side(&twin.source)), serde_json::json!({}), "no quota there");
    for flow in status["flows"].as_array().expect("there are flows") {
        assert_eq!(flow["session_generation"], 1, "{:?}: {flow}", twin.engine);
    }
    for event in ["faulted", "session_lost"] {
        assert_eq!(twin.mirror.events(event).await, Vec::<Value>::new(), "{:?}", twin.engine);
    }
    let (code, metrics) = twin.mirror.get("/metrics").await.expect("/metrics answers");
    assert_eq!(code, 200);
    for call in ["Fetch", "Produce"] {
        let series =
            format!("mirrormesh_throttled_seconds_total{{call=\"{call}\",cluster=\"{}\"", twin.source);
        assert!(metrics.contains(&series), "{series} is missing in {metrics}");
        let output = twin.mirror.output();
        let lines =
            output.lines().filter(|line| line.contains("throttles us:") && line.contains(call)).count();
        assert_eq!(lines, 1, "{:?} says once that its {call} requests are throttled", twin.engine);
    }
    assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
}
