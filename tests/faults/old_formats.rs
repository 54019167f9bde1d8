//! Logs that begin with message sets of brokers from before Kafka 0.11.

use crate::common::topologies::{flow, topology_as};
use crate::common::{
    Broker, Cluster, KafkaClient, Listener, MessageSets, TestRecord, Twin, difference, java, replace_log,
    stored_batches, twins, wait_for,
};

/// Records of a log that old brokers wrote.
const OLD: usize = 48;
/// Where retention cut a log: within its first compressed set of magic 1.
const CUT: usize = 27;

/// Records of magic 1 with every kind of null; without timestamps they are those of magic 0.
fn records(prefix: &str, stamped: bool) -> Vec<TestRecord> {
    let record = |n: i64| {
        let record = TestRecord::new(&format!("{prefix}-{n}"), &format!("{prefix} value {n}"));
        // Neither rising nor all different.
        if stamped { record.at(1_400_000_000_000 + n * 7 % 5) } else { record }
    };
    let mut records: Vec<TestRecord> = (0..8).map(record).collect();
    records[1].key = None;
    records[2].value = None;
    (records[3].key, records[3].value) = (None, None);
    (records[4].key, records[4].value) = (Some(Vec::new()), Some(Vec::new()));
    records[5].value = Some(vec![b'x'; 2_000]);
    // In the format, yet without a timestamp: what a client of magic 0 sent to a later broker.
    records[6].timestamp_ms = None;
    records
}

/// A log as it grew through releases: both formats, each alone and compressed; what of it is to be read, in order.
fn grown() -> (Vec<u8>, Vec<TestRecord>) {
    let mut sets = MessageSets::default();
    let mut expected = Vec::new();
    for (magic, compressed) in [(0, false), (0, true), (1, false), (1, true), (1, true), (0, true)] {
        let records = records(&format!("{magic}-{compressed}"), magic == 1);
        if compressed {
            sets.gzip(magic, &records)
        } else {
            sets.plain(magic, &records)
        }
        expected.extend(records);
    }
    (sets.into_bytes(), expected)
}

/// Magic numbers of a log's batches, without repetitions.
fn formats(broker: &Broker, topic: &str, partition: i32) -> Vec<i8> {
    let mut formats: Vec<i8> =
        stored_batches(broker, topic, partition).iter().map(|batch| batch.header().magic).collect();
    formats.dedup();
    formats
}

/// What Kafka's own consumer reads of a partition, a line per record: librdkafka can't read such sets.
async fn read(cluster: &Cluster, partition: usize, from: usize, count: usize) -> Vec<String> {
    let (partition, from, count) = (partition.to_string(), from.to_string(), count.to_string());
    let mut arguments = vec!["--bootstrap-server", cluster.bootstrap(), "--topic", "orders"];
    arguments.extend(["--partition", &partition, "--offset", &from, "--max-messages", &count]);
    arguments.extend(["--timeout-ms", "60000"]);
    for shown in ["print.key=true", "print.timestamp=true", "null.literal=<null>", "key.separator=|"] {
        arguments.extend(["--formatter-property", shown]);
    }
    let said = java("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments).await;
    // Magic 1 without a timestamp; it is none all the same.
    said.lines().map(|line| line.replace("CreateTime:-1|", "NO_TIMESTAMP|")).collect()
}

/// A record as Kafka's own consumer shows it.
fn shown(record: &TestRecord) -> String {
    let text = |part: &Option<Vec<u8>>| match part {
        Some(part) => String::from_utf8_lossy(part).into_owned(),
        None => "<null>".to_owned(),
    };
    let stamp = record.timestamp_ms.map_or("NO_TIMESTAMP".to_owned(), |stamp| format!("CreateTime:{stamp}"));
    format!("{stamp}|{}|{}", text(&record.key), text(&record.value))
}

/// R1, R2, R3, R8: message sets of magic 0 and 1, compressed ones from the middle on, and what is written behind
/// them; then once more after `kill -9`, with nothing saved, so that all of them are matched with the copy.
#[tokio::test(flavor = "multi_thread")]
async fn message_sets_of_old_brokers_are_mirrored() {
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(Cluster::builder("east").start(), Cluster::builder("west").start());
    let (here, there) = (east.client(), west.client());
    here.create_topic("orders", 2, &[]).await;
    let (log, written) = grown();
    east.broker().stop().await;
    for partition in 0..2 {
        replace_log(east.broker(), "orders", partition, &log);
    }
    east.broker().start().await;
    // Retention cut the second partition within a compressed set of magic 1.
    here.delete_records("orders", 1, CUT as i64).await;
    for (partition, first) in [(0, 0), (1, CUT)] {
        let expected: Vec<String> = written[first..].iter().map(shown).collect();
        assert_eq!(read(&east, partition, first, expected.len()).await, expected, "partition {partition}");
    }

    // No position is saved after the first: what follows it is known from the copy alone.
    let [passthrough, records] = twins("east", &["positions.interval=1h"], |source| {
        let flows = flow("old", source, "west", &["orders"], &["start: earliest"]);
        topology_as(&[(source, &east), ("west", &west)], Listener::Internal, &flows)
    });
    let remote = passthrough.remote("orders");
    copied(there, &remote, [&written, &written[CUT..]]).await;
    passthrough.mirror.kill();
    let newer = TestRecord::numbered(10);
    for partition in 0..2 {
        here.produce("orders", partition, newer.iter().map(|record| record.clone().at(1)).collect()).await;
        assert_eq!(
            formats(east.broker(), "orders", partition),
            [0, 1, 0, 2],
            "the log goes on in today's format"
        );
    }
    let newer = newer.into_iter().map(|record| record.at(1));
    let all: Vec<TestRecord> = written.into_iter().chain(newer).collect();
    passthrough.mirror.launch();
    copied(there, &remote, [&all, &all[CUT..]]).await;
    for partition in 0..2 {
        assert_eq!(formats(west.broker(), &remote, partition), [2], "partition {partition} of the copy");
    }
    assert_eq!(passthrough.mirror.terminate().await, Some(0));
    refused(&records, here, there, &all[OLD..]).await;
}

/// R8, R10: where librdkafka would misread the sets, the partitions say so and nothing is written; once only today's
/// format is left, they go on.
async fn refused(records: &Twin, here: &KafkaClient, there: &KafkaClient, newer: &[TestRecord]) {
    let faulted = async |kind: Option<&str>| {
        wait_for(&format!("both partitions to have the fault {kind:?}"), async || {
            let status = records.mirror.status().await?;
            let all = status["flows"][0]["partitions"].as_array().cloned().unwrap_or_default();
            let orders: Vec<_> = all.iter().filter(|partition| partition["topic"] == "orders").collect();
            match orders.len() == 2 && orders.iter().all(|partition| partition["fault"].as_str() == kind) {
                true => Ok(orders[0]["reason"].as_str().unwrap_or_default().to_owned()),
                false => Err(format!("{orders:?}")),
            }
        })
        .await
    };
    let reason = faulted(Some("old_format")).await;
    for part in ["east-records", "orders-0", "v0", "offset 0", "passthrough"] {
        assert!(reason.contains(part), "{part} is missing in {reason}");
    }
    assert_eq!(there.end_offsets(&records.remote("orders")).await, [0, 0], "nothing is written");
    assert_eq!(records.mirror.terminate().await, Some(0));
    for partition in 0..2 {
        here.delete_records("orders", partition, OLD as i64).await;
    }
    records.mirror.launch();
    copied(there, &records.remote("orders"), [newer, newer]).await;
    assert_eq!(records.mirror.terminate().await, Some(0));
}

/// Waits until the partitions of a copy hold these records, and nothing else.
async fn copied(there: &KafkaClient, remote: &str, expected: [&[TestRecord]; 2]) {
    wait_for(&format!("{remote} to be complete"), async || {
        if !there.topics().await.contains_key(remote) {
            return Err("the topic is not there".to_owned());
        }
        let ends = there.end_offsets(remote).await;
        let complete = |(end, expected): (&i64, &[TestRecord])| *end >= expected.len() as i64;
        if ends.iter().zip(expected).all(complete) { Ok(()) } else { Err(format!("{ends:?}")) }
    })
    .await;
    for (partition, read) in there.consume_all(remote).await.into_iter().enumerate() {
        let read: Vec<TestRecord> = read.into_iter().map(|consumed| consumed.record).collect();
        let (read, expected): (Vec<_>, Vec<_>) =
            (read.iter().collect(), expected[partition].iter().collect());
        assert_eq!(difference(&expected, &read), None, "{remote}-{partition}");
    }
}
