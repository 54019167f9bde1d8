//! What crosses unopened arrives as it was stored, and what starts within a batch is cut to fit.

use mirrormesh::batch::{Header, RawBatch};
use serde_json::Value;

use crate::common::topologies::{flow, topology};
use crate::common::{
    Broker, Ending, Engine, KafkaClient, Produce, TestRecord, await_exact, body, mirrormesh, pair,
    stored_batches, topic, wait_for,
};

/// What of a header must arrive as it was.
fn facts(header: &Header) -> (i16, i32, i32, i64, i64) {
    // The compression; the other attributes are the brokers' and the producer's own.
    let codec = header.attributes & 0x07;
    let (delta, count) = (header.last_offset_delta, header.record_count);
    (codec, delta, count, header.base_timestamp_ms, header.max_timestamp_ms)
}

/// Batches with records of users: without the markers that brokers write.
fn data(broker: &Broker, topic: &str) -> Vec<RawBatch> {
    stored_batches(broker, topic, 0).into_iter().filter(|batch| !batch.header().is_control()).collect()
}

/// R8: the logs of both sides hold the same batches: compressed bytes, counts, deltas, timestamps and codecs.
#[tokio::test(flavor = "multi_thread")]
async fn stored_batches_are_the_same_on_both_sides() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("unopened");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        east.produce_with(&name, 0, TestRecord::numbered(300), Produce::new().codec(codec)).await;
        east.produce_with(&name, 0, odd_records(), Produce::new().codec(codec).batch_records(2)).await;
    }
    // Its batches lose the mark of a transaction, and nothing else.
    let transaction = Produce::new().codec("lz4").transaction(&name, Ending::Commit);
    east.produce_with(&name, 0, TestRecord::numbered(50), transaction).await;
    let flows = flow(&name, "east", "west", &[&name], &[]);
    let mirror = Engine::Passthrough.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
    mirror.ready().await;
    await_exact(east, &name, west, &remote).await;

    let (here, there) = (data(pair.east.broker(), &name), data(pair.west.broker(), &remote));
    assert_eq!(here.len(), there.len(), "batches");
    let codecs: std::collections::BTreeSet<_> = here.iter().map(|batch| facts(batch.header()).0).collect();
    assert_eq!(codecs.len(), 5, "the source has batches of every codec");
    for (from, to) in here.iter().zip(&there) {
        assert_eq!(facts(from.header()), facts(to.header()), "offset {}", from.header().base_offset);
        assert!(body(from) == body(to), "the records at offset {} differ", from.header().base_offset);
        to.verify_crc().expect("the target's checksum is right");
        assert!(!to.header().is_transactional(), "nobody will ever end that transaction on the target");
    }
}

/// Records that copies like to change.
fn odd_records() -> Vec<TestRecord> {
    let empty = TestRecord::default().at(1_600_000_000_000);
    vec![
        TestRecord { key: Some(Vec::new()), value: Some(Vec::new()), ..empty.clone() },
        TestRecord { key: None, value: None, ..empty.clone() },
        TestRecord { key: Some(vec![0, 255]), ..empty.clone() }.header("b", Some(b"2")).header("a", None),
        TestRecord { value: Some(vec![254; 3]), ..empty.clone() }
            .header("", Some(&[0, 159]))
            .header("", Some(b"")),
        // The timestamps of a batch need not rise.
        empty.clone().at(1_500_000_000_000),
        empty.at(1_550_000_000_000),
    ]
}

/// When record n of a topic was made.
fn time(n: i64) -> i64 {
    1_700_000_000_000 + n
}

fn timed(from: i64, to: i64) -> Vec<TestRecord> {
    (from..to).map(|n| TestRecord::new(&format!("k-{n}"), &format!("v-{n}")).at(time(n))).collect()
}

/// R2, R3: 50,000 batches of a record each, from the middle on, with a kill on the way.
#[tokio::test(flavor = "multi_thread")]
async fn small_batches_from_the_middle_of_a_topic_on() {
    const RECORDS: i64 = 50_000;
    const FROM: i64 = 20_000;
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    let name = topic("small");
    let remote = format!("east.{name}");
    east.create_topic(&name, 1, &[]).await;
    // In several runs, each of which may take half a minute.
    for start in (0..RECORDS).step_by(5_000) {
        let one_each = Produce::new().batch_records(1);
        east.produce_with(&name, 0, timed(start, start + 5_000), one_each).await;
    }
    assert_eq!(stored_batches(pair.east.broker(), &name, 0).len() as i64, RECORDS, "batches of one record");
    let flows = flow(&name, "east", "west", &[&name], &[&format!("start: {}", time(FROM))]);
    let mirror =
        Engine::Passthrough.start(&topology(&[&pair.east, &pair.west], &flows), &["positions.interval=1s"]);
    arrived(west, &remote, 1_000).await;
    mirror.kill();
    mirror.launch();
    arrived(west, &remote, RECORDS - FROM).await;
    assert_eq!(mirror.terminate().await, Some(0));
    let copied: Vec<_> = west.consume_all(&remote).await.remove(0).into_iter().map(|c| c.record).collect();
    let expected = timed(FROM, RECORDS);
    let first = copied.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(
        (copied.len(), first),
        (expected.len(), None),
        "records, and the first that is not the one expected"
    );
}

/// Waits until the topic's first partition ends at `goal` or beyond.
async fn arrived(client: &KafkaClient, topic: &str, goal: i64) {
    wait_for(&format!("{goal} records of {topic}"), async || {
        if !client.topics().await.contains_key(topic) {
            return Err("the topic is not there".to_owned());
        }
        match client.end_offsets(topic).await[0] {
            end if end >= goal => Ok(()),
            end => Err(end.to_string()),
        }
    })
    .await;
}

/// R3: of a batch in which mirroring starts, only what lies behind arrives; compressed or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_within_a_batch_leaves_its_head_behind() {
    let pair = pair().await;
    let (east, west) = (pair.east.client(), pair.west.client());
    for codec in ["none", "zstd"] {
        let name = topic(codec);
        let remote = format!("east.{name}");
        east.create_topic(&name, 1, &[]).await;
        east.produce_with(&name, 0, timed(0, 300), Produce::new().codec(codec)).await;
        let batches = stored_batches(pair.east.broker(), &name, 0);
        let batch = batches.iter().map(RawBatch::header).find(|header| header.record_count > 2);
        let batch = batch.expect("the client writes more than two records at once");
        let from = batch.base_offset + i64::from(batch.record_count) / 2;
        let flows = flow(&name, "east", "west", &[&name], &[&format!("start: {}", time(from))]);
        let mirror = Engine::Passthrough.start(&topology(&[&pair.east, &pair.west], &flows), &[]);
        mirror.ready().await;
        arrived(west, &remote, 300 - from).await;
        // Something later, so that all before it has been written.
        east.produce(&name, 0, timed(300, 301)).await;
        wait_for("the last record", async || {
            let copied = west.consume_all(&remote).await.remove(0);
            match copied.last().and_then(|last| last.record.timestamp_ms) {
                Some(last) if last == time(300) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let copied: Vec<_> =
            west.consume_all(&remote).await.remove(0).into_iter().map(|c| c.record).collect();
        assert_eq!(copied, timed(from, 301), "{codec}");
        assert_eq!(mirror.terminate().await, Some(0));
    }
}

/// The choice of engine is shown with its reason, before and while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn plan_and_status_say_which_engine_and_why() {
    let pair = pair().await;
    let name = topic("chosen");
    pair.east.client().create_topic(&name, 1, &[]).await;
    for (lines, engine, reason) in [
        (&[][..], "passthrough", "looks into records"),
        (&["codec: zstd"][..], "records", "`codec` is set"),
        (&["engine: records"][..], "records", "`engine: records` is set"),
        (&["engine: passthrough", "codec: zstd"][..], "passthrough", "`engine: passthrough` is set"),
    ] {
        let flows = flow(&name, "east", "west", &[&name], lines);
        let topology = topology(&[&pair.east, &pair.west], &flows);
        let planned = mirrormesh("plan", &topology, &["--json"]).await;
        let choice = &planned.json()["flows"][0]["engine"];
        assert_eq!(choice["engine"], engine, "{planned:?}");
        assert!(text(&choice["reason"]).contains(reason), "{planned:?}");
        let shown = mirrormesh("plan", &topology, &[]).await.stdout;
        assert!(shown.contains(&format!("engine: {engine} (")) && shown.contains(reason), "{shown}");

        let mirror = crate::common::MirrorProcess::start(&topology, &[]);
        mirror.ready().await;
        let status = mirror.status().await.expect("a mirror that is ready answers");
        assert_eq!(status["flows"][0]["engine"], engine, "{status}");
        assert!(text(&status["flows"][0]["engine_reason"]).contains(reason), "{status}");
        assert_eq!(mirror.terminate().await, Some(0));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
