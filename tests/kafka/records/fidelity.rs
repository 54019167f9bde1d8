//! R2, R8: what arrives is what was there, in order.

use mirrormesh::model::{Codec, Event, Segment};
use mirrormesh::topology::Isolation;

use super::flow::FlowBuilder;
use super::raw::{self, RawRecord};
use crate::common::{Ending, KafkaClient, Produce, TestRecord, pair, topic};

const NOW: i64 = 1_700_000_000_000;

async fn records(client: &KafkaClient, topic: &str) -> Vec<TestRecord> {
    client.consume_all(topic).await.swap_remove(0).into_iter().map(|consumed| consumed.record).collect()
}

/// Two topics of one partition: on east, and its copy on west.
async fn topics(name: &str) -> (String, String) {
    let source = topic(name);
    let target = format!("east.{source}");
    let mesh = pair().await;
    mesh.east.client().create_topic(&source, 1, &[]).await;
    mesh.west.client().create_topic(&target, 1, &[]).await;
    (source, target)
}

/// R8: nulls, empties, binary, duplicate headers, timestamps.
#[tokio::test]
async fn odd_records_arrive_unchanged() {
    let mesh = pair().await;
    let (source, target) = topics("odd").await;
    let plain = TestRecord { timestamp_ms: Some(NOW), ..TestRecord::default() };
    let written = vec![
        TestRecord::new("key", "value").at(NOW),
        plain.clone(),
        TestRecord { key: Some(vec![]), value: Some(vec![]), ..plain.clone() },
        TestRecord { key: Some(vec![]), value: None, ..plain.clone() },
        TestRecord { key: None, value: Some(vec![]), ..plain.clone() },
        TestRecord { key: Some(vec![0, 0xff, 0xfe]), value: Some(vec![0xc3, 0x28, 0]), ..plain.clone() },
        TestRecord::new("tombstone", "").at(1),
        TestRecord { value: None, ..TestRecord::new("tombstone", "").at(NOW + 1) },
        TestRecord::new("headers", "v")
            .at(NOW)
            .header("a", Some(b"1"))
            .header("b", None)
            .header("a", Some(b""))
            .header("", Some(b"nameless"))
            .header("a", Some(b"1"))
            .header("smörgås", Some(&[0xff, 0])),
        TestRecord::new("large", &"x".repeat(700_000)).at(NOW),
    ];
    mesh.east.client().produce(&source, 0, written.clone()).await;

    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    assert_eq!(lane.opened.acknowledged, None);
    lane.fetch(0);
    let end = written.len() as i64;
    lane.mirror_to(end).await;
    assert_eq!(lane.seen.segments.first().map(|s| (s.source_base, s.target_base)), Some((0, 0)));
    assert_eq!((lane.seen.records(), lane.seen.target_next), (end as u64, Some(end)));
    flow.shutdown().await;
    assert_eq!(records(mesh.west.client(), &target).await, written);
}

/// Every codec in, another out; many batches, in order.
#[tokio::test]
async fn every_codec_is_read_and_written() {
    let mesh = pair().await;
    let codecs = [
        ("none", Codec::Zstd),
        ("gzip", Codec::None),
        ("snappy", Codec::Gzip),
        ("lz4", Codec::Snappy),
        ("zstd", Codec::Lz4),
    ];
    for (from, to) in codecs {
        let (source, target) = topics(from).await;
        let written: Vec<_> = (0..3_000)
            .map(|n| TestRecord::new(&format!("k-{n}"), &format!("value {n} ").repeat(20)).at(NOW + n))
            .collect();
        let options = Produce::new().codec(from).batch_records(250);
        mesh.east.client().produce_with(&source, 0, written.clone(), options).await;
        let mut builder = FlowBuilder::new(mesh.east.client(), mesh.west.client());
        builder.codec = to;
        let flow = builder.start();
        let mut lane = flow.lane(&source, &target, 1).await;
        lane.fetch(0);
        lane.mirror_to(3_000).await;
        flow.shutdown().await;
        assert_eq!(records(mesh.west.client(), &target).await, written, "{from} to {to:?}");
        assert_eq!(lane.seen.segments.len(), lane.seen.fetched.len(), "each batch is one run");
    }
}

/// Aborted records stay behind; the position moves past them, and past the markers at the end of the log.
#[tokio::test]
async fn aborted_transactions_are_passed_over() {
    let mesh = pair().await;
    let (source, target) = topics("transactions").await;
    let east = mesh.east.client();
    for (text, ending) in [("one", Ending::Commit), ("two", Ending::Abort), ("three", Ending::Commit)] {
        let batch = vec![TestRecord::new(text, text).at(NOW); 10];
        east.produce_with(&source, 0, batch, Produce::new().transaction(&source, ending)).await;
    }
    let flow = FlowBuilder::new(east, mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    // Three times ten records and a marker.
    lane.mirror_to(33).await;
    assert_eq!(lane.seen.acknowledged, Some(33));
    assert_eq!(lane.seen.records(), 20);
    let expected = [(0, 0, 10), (22, 10, 10)].map(|(source_base, target_base, count)| Segment {
        source_base,
        target_base,
        count,
    });
    assert_eq!(lane.seen.segments, expected);

    // Only aborted records: an empty batch moves the position.
    let batch = vec![TestRecord::new("four", "four").at(NOW); 5];
    east.produce_with(&source, 0, batch, Produce::new().transaction(&source, Ending::Abort)).await;
    lane.mirror_to(39).await;
    let last = *lane.seen.fetched.last().expect("there are batches");
    assert_eq!((last.source_base, last.source_next, last.records, last.bytes), (33, 39, 0, 0));

    // And the next record follows them.
    east.produce(&source, 0, vec![TestRecord::new("five", "five").at(NOW)]).await;
    lane.mirror_to(40).await;
    flow.shutdown().await;
    let keys: Vec<_> = records(mesh.west.client(), &target).await.into_iter().map(|r| r.key).collect();
    let expected: Vec<_> = ["one"; 10].iter().chain(&["three"; 10]).chain(&["five"]).collect();
    assert_eq!(keys, expected.iter().map(|key| Some(key.as_bytes().to_vec())).collect::<Vec<_>>());
}

/// Under read_uncommitted aborted records are mirrored like any other.
#[tokio::test]
async fn read_uncommitted_reads_all() {
    let mesh = pair().await;
    let (source, target) = topics("uncommitted").await;
    let options = Produce::new().transaction(&source, Ending::Abort);
    mesh.east.client().produce_with(&source, 0, TestRecord::numbered(7), options).await;
    let mut builder = FlowBuilder::new(mesh.east.client(), mesh.west.client());
    builder.isolation = Isolation::ReadUncommitted;
    let flow = builder.start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_to(8).await;
    flow.shutdown().await;
    assert_eq!(lane.seen.records(), 7);
}

/// A compacted source has gaps: each run between them is a segment, and nothing is counted.
#[tokio::test]
async fn gaps_of_the_source_show_in_the_segments() {
    let mesh = pair().await;
    let (source, target) = topics("gaps").await;
    let east = mesh.east.client();
    for n in 0..3 {
        let options = Produce::new().transaction(&source, Ending::Commit);
        let batch = vec![TestRecord::new("k", &n.to_string()).at(NOW); 4];
        east.produce_with(&source, 0, batch, options).await;
    }
    let flow = FlowBuilder::new(east, mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(2);
    lane.mirror_to(15).await;
    flow.shutdown().await;
    let expected = [(2, 0, 2), (5, 2, 4), (10, 6, 4)].map(|(source_base, target_base, count)| Segment {
        source_base,
        target_base,
        count,
    });
    assert_eq!(lane.seen.segments, expected);
}

/// librdkafka can't write timestamp 0: 1 ms is written, and it is reported. No timestamp stays none.
#[tokio::test]
async fn unusual_timestamps() {
    let mesh = pair().await;
    let (source, target) = topics("timestamps").await;
    let record = |timestamp_ms| RawRecord { timestamp_ms, value: b"v", headers: Vec::new() };
    raw::produce(mesh.east.client(), &source, &[-1, 0, 1, 0, 7].map(record)).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_to(5).await;
    flow.shutdown().await;
    let read = raw::read(mesh.west.client(), &target).await;
    assert_eq!(read.iter().map(|record| record.timestamp_ms).collect::<Vec<_>>(), [-1, 1, 1, 1, 7]);
    assert_eq!(lane.seen.reports, [Event::TimestampZero { records: 2 }]);
}

/// Header names are bytes to Kafka: those that are no text, or hold a zero, arrive all the same.
#[tokio::test]
async fn header_names_that_are_no_text() {
    let mesh = pair().await;
    let (source, target) = topics("names").await;
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        vec![(b"\xff\xfe", Some(b"1")), (b"a\0b", None), (b"\xff\xfe", Some(b"")), (b"plain", Some(b"2"))];
    let odd = || RawRecord { timestamp_ms: NOW, value: b"v", headers: headers.clone() };
    raw::produce(mesh.east.client(), &source, &[odd(), odd()]).await;
    let flow = FlowBuilder::new(mesh.east.client(), mesh.west.client()).start();
    let mut lane = flow.lane(&source, &target, 1).await;
    lane.fetch(0);
    lane.mirror_to(2).await;
    flow.shutdown().await;
    let read = raw::read(mesh.west.client(), &target).await;
    assert_eq!(read.len(), 2);
    for record in read {
        let read: Vec<_> = record.headers.iter().map(|h| (h.key.as_ref(), h.value.as_deref())).collect();
        assert_eq!(read, headers);
    }
}
