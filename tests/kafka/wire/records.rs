//! Fetch and produce.

use std::time::Duration;

use bytes::Bytes;
use mirrormesh::model::{Codec, Isolation, TopicPartition};
use mirrormesh::wire::{FetchRange, FetchedRecords, NewRecord, ResponseError, Wire};

use super::{new_topic, wire};
use crate::common::{Ending, Produce, TestRecord, pair, topic};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn range(partition: &TopicPartition, offset: i64) -> FetchRange {
    FetchRange {
        partition: partition.clone(),
        offset,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadCommitted,
        max_wait: Duration::from_millis(100),
    }
}

async fn read_from(wire: &Wire, partition: &TopicPartition, offset: i64) -> FetchedRecords {
    wire.fetch(&range(partition, offset)).await.unwrap()
}

fn record(n: i64) -> NewRecord {
    NewRecord {
        timestamp_ms: 1_700_000_000_000 + n,
        key: (n % 2 == 0).then(|| Bytes::from(format!("k-{n}"))),
        value: (n % 3 != 0).then(|| Bytes::from(format!("value-{n}").repeat(20))),
        headers: vec![("h".to_owned(), Bytes::from(n.to_string())), ("h".to_owned(), Bytes::new())],
    }
}

#[tokio::test]
async fn what_is_written_with_any_codec_is_read_by_us_and_by_librdkafka() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let name = topic("written");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    let records: Vec<NewRecord> = (0..20).map(record).collect();
    for (turn, codec) in (0..).zip(CODECS) {
        let written = wire.produce(&partition, &records, codec).await.unwrap();
        assert_eq!((written.base_offset, written.log_append_time_ms), (turn * 20, -1), "{codec}");
        let read = read_from(&wire, &partition, turn * 20).await;
        let back: Vec<NewRecord> = read
            .records
            .iter()
            .map(|record| NewRecord {
                timestamp_ms: record.timestamp_ms,
                key: record.key.clone(),
                value: record.value.clone(),
                headers: record
                    .headers
                    .iter()
                    .map(|header| {
                        let key = String::from_utf8(header.key.to_vec()).unwrap();
                        (key, header.value.clone().unwrap())
                    })
                    .collect(),
            })
            .collect();
        assert_eq!(back, records, "{codec}");
        assert_eq!((read.next_offset, read.high_watermark), ((turn + 1) * 20, (turn + 1) * 20));
        assert_eq!((read.last_stable, read.log_start, read.append_time), (read.high_watermark, 0, false));
        assert!(read.last_epoch >= 0);
    }
    let consumed = east.client().consume_all(&name).await;
    assert_eq!(consumed[0].len(), 100);
    for (written, consumed) in records.iter().cycle().zip(&consumed[0]) {
        assert_eq!(consumed.record.key.as_deref(), written.key.as_deref());
        assert_eq!(consumed.record.value.as_deref(), written.value.as_deref());
        assert_eq!(consumed.record.timestamp_ms, Some(written.timestamp_ms));
        assert_eq!(consumed.record.headers.len(), 2);
    }
}

#[tokio::test]
async fn what_librdkafka_writes_with_any_codec_is_read() {
    let east = &pair().await.east;
    let wire = wire(east.bootstrap());
    let name = topic("foreign");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    for (turn, codec) in (0..).zip(CODECS) {
        let options = Produce::new().codec(codec.as_str());
        east.client().produce_with(&name, 0, TestRecord::numbered(50), options).await;
        let mut values = Vec::new();
        let mut offset = turn * 50;
        while offset < (turn + 1) * 50 {
            let read = read_from(&wire, &partition, offset).await;
            assert!(read.next_offset > offset, "{codec}: nothing at {offset}");
            offset = read.next_offset;
            values.extend(read.records.into_iter().map(|record| record.value.unwrap()));
        }
        let expected: Vec<Bytes> = (0..50).map(|n| Bytes::from(format!("v-{n}"))).collect();
        assert_eq!(values, expected, "{codec}");
    }
}

#[tokio::test]
async fn a_batch_larger_than_asked_for_comes_whole_and_a_fetch_starts_within_it() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("large");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    let records: Vec<NewRecord> = (0..100).map(record).collect();
    wire.produce(&partition, &records, Codec::None).await.unwrap();
    let read = wire.fetch(&FetchRange { max_bytes: 1, ..range(&partition, 40) }).await.unwrap();
    assert_eq!((read.records.len(), read.records[0].offset, read.next_offset), (60, 40, 100));
}

#[tokio::test]
async fn the_end_and_beyond() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("ends");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    wire.produce(&partition, &[record(1)], Codec::None).await.unwrap();
    let read = read_from(&wire, &partition, 1).await;
    assert_eq!((read.records.len(), read.next_offset, read.last_epoch), (0, 1, -1));
    let error = wire.fetch(&range(&partition, 2)).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::OffsetOutOfRange));
    assert!(error.to_string().contains(&partition.to_string()), "{error}");
}

#[tokio::test]
async fn a_topic_may_stamp_on_append() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("stamped");
    let new = new_topic(&name, 1, &[("message.timestamp.type", "LogAppendTime")]);
    wire.create_topic(&new, false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    let written = wire.produce(&partition, &[record(1)], Codec::Lz4).await.unwrap();
    let read = read_from(&wire, &partition, 0).await;
    assert!(read.append_time && written.log_append_time_ms > 1_700_000_000_001);
    assert_eq!(read.records[0].timestamp_ms, written.log_append_time_ms);
}

#[tokio::test]
async fn a_write_that_the_topic_does_not_take_is_told() {
    let wire = wire(pair().await.east.bootstrap());
    let name = topic("picky");
    let new = new_topic(&name, 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000")]);
    wire.create_topic(&new, false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    let records: Vec<NewRecord> = (0..100).map(record).collect();
    let error = wire.produce(&partition, &records, Codec::None).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::MessageTooLarge));
    let keyless = NewRecord { key: None, ..record(1) };
    let error = wire.produce(&partition, &[keyless], Codec::None).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::InvalidRecord));
    assert!(error.to_string().contains("key"), "{error}");
    assert!(!error.is_outcome_unknown());
    let gone = TopicPartition::new(topic("nowhere").as_str(), 0);
    assert!(wire.produce(&gone, &[record(1)], Codec::None).await.unwrap_err().is_unknown_topic());
}

#[tokio::test]
async fn aborted_transactions_are_read_only_uncommitted() {
    let west = &pair().await.west;
    let wire = wire(west.bootstrap());
    let name = topic("aborted");
    wire.create_topic(&new_topic(&name, 1, &[]), false).await.unwrap();
    let partition = TopicPartition::new(name.as_str(), 0);
    for (text, ending) in [("kept", Ending::Commit), ("dropped", Ending::Abort), ("kept too", Ending::Commit)]
    {
        let options = Produce::new().transaction(&name, ending);
        west.client().produce_with(&name, 0, vec![TestRecord::new("k", text)], options).await;
    }
    let values = |read: &FetchedRecords| -> Vec<Bytes> {
        read.records.iter().map(|record| record.value.clone().unwrap()).collect()
    };
    let committed = read_from(&wire, &partition, 0).await;
    assert_eq!((values(&committed), committed.next_offset), (vec!["kept".into(), "kept too".into()], 6));
    let uncommitted = FetchRange { isolation: Isolation::ReadUncommitted, ..range(&partition, 0) };
    let uncommitted = wire.fetch(&uncommitted).await.unwrap();
    assert_eq!(values(&uncommitted), ["kept", "dropped", "kept too"]);
    assert_eq!(uncommitted.next_offset, 6);
    // From within: at the aborted record, and at the marker behind it.
    for offset in [2, 3] {
        let read = read_from(&wire, &partition, offset).await;
        assert_eq!((values(&read), read.next_offset), (vec!["kept too".into()], 6));
    }
}
