//! Bytes that Kafka itself wrote.
//!
//! The files of magic 2 are log segments of a Kafka 4.3.0 broker, written to by its own producer; those of magic 0
//! and 1 were written by the record builder of its client library, as brokers before 0.10 and 0.11 stored them.

use super::repack::{TARGET, read, read_packed};
use super::*;
use crate::batch::{
    AbortedFilter, BatchContent, BatchProblem, Carriage, ControlKind, Record, Stamp, carriage, control_kind,
    repack,
};

macro_rules! gold {
    ($name:literal) => {{
        const DATA: &[u8] = include_bytes!(concat!("../../../tests/data/batches/", $name, ".bin"));
        DATA
    }};
}

const ALL: [&[u8]; 19] = [
    gold!("magic0-none"),
    gold!("magic0-gzip"),
    gold!("magic0-snappy"),
    gold!("magic0-lz4"),
    gold!("magic1-none"),
    gold!("magic1-gzip"),
    gold!("magic1-gzip-append"),
    gold!("magic1-snappy"),
    gold!("magic1-snappy-append"),
    gold!("magic1-lz4"),
    gold!("magic1-lz4-append"),
    gold!("magic2-none"),
    gold!("magic2-gzip"),
    gold!("magic2-snappy"),
    gold!("magic2-lz4"),
    gold!("magic2-zstd"),
    gold!("magic2-append"),
    gold!("magic2-transactions"),
    gold!("magic2-compacted"),
];

fn record(offset: i64, timestamp_ms: i64, key: Option<Bytes>, value: Option<Bytes>) -> Record {
    Record { offset, timestamp_ms, key, value, headers: Vec::new() }
}

/// The four records that were sent to the magic 2 topics.
fn sent() -> Vec<Record> {
    let mut first = record(0, 1_700_000_000_000, bytes("key"), Some("value ".repeat(40).into()));
    first.headers =
        vec![header("a", Some("1")), header("a", Some("2")), header("nil", None), header("", Some(""))];
    vec![
        first,
        record(1, 1_699_999_999_000, None, bytes("no key")),
        record(2, 1_700_000_000_500, bytes("tombstone"), None),
        record(3, 0, bytes(""), bytes("")),
    ]
}

/// The three records of the magic 0 and 1 files; magic 0 has no timestamps.
fn sent_legacy(timestamps_ms: [i64; 3]) -> Vec<Record> {
    vec![
        record(1000, timestamps_ms[0], bytes("key"), Some("value ".repeat(40).into())),
        record(1001, timestamps_ms[1], None, bytes("no key")),
        record(1004, timestamps_ms[2], bytes("tombstone"), None),
    ]
}

fn records(data: &[u8]) -> Vec<Record> {
    let opened = batches(data).into_iter().map(|batch| {
        batch.verify_crc().unwrap();
        batch.records().unwrap()
    });
    opened.flatten().collect()
}

#[test]
fn kafka_batches_of_every_codec_are_read() {
    let files = [
        gold!("magic2-none"),
        gold!("magic2-gzip"),
        gold!("magic2-snappy"),
        gold!("magic2-lz4"),
        gold!("magic2-zstd"),
    ];
    for (data, codec) in files.into_iter().zip(CODECS) {
        let batch = only(data);
        let header = batch.header();
        assert_eq!(header.codec(), Ok(codec));
        assert_eq!((header.magic, header.base_offset, header.leader_epoch), (2, 0, 0));
        assert_eq!(header.batch_length as usize, data.len() - 12);
        assert_eq!((header.record_count, header.last_offset_delta), (4, 3));
        assert_eq!((header.last_offset(), header.next_offset()), (3, 4));
        assert_eq!(header.base_timestamp_ms, 1_700_000_000_000);
        assert_eq!(header.max_timestamp_ms, 1_700_000_000_500);
        assert_eq!((header.producer_epoch, header.base_sequence), (0, 0));
        assert!(header.producer_id >= 0);
        assert!(!header.is_control() && !header.is_transactional());
        assert!(!header.is_append_time() && !header.has_delete_horizon());
        assert_eq!(batch.bytes(), data);
        assert_eq!(records(data), sent(), "{codec}");
    }
}

/// The builder's bytes are those of Kafka, where there is only one way to write them.
#[test]
fn an_uncompressed_batch_is_built_byte_for_byte_as_kafka_does() {
    let data = gold!("magic2-none");
    let stored = only(data);
    let mut builder =
        BatchBuilder::new(Codec::None).producer(stored.header().producer_id, 0, 0).leader_epoch(0);
    for record in sent() {
        let headers: Vec<_> =
            record.headers.iter().map(|header| (&header.key[..], header.value.as_deref())).collect();
        builder.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    assert_eq!(builder.len_bytes(), data.len());
    assert_eq!(builder.build().unwrap(), data);
}

/// Opened, written anew and given back its producer, Kafka's batch is Kafka's batch.
#[test]
fn an_uncompressed_batch_is_repacked_byte_for_byte_as_kafka_does() {
    let data = gold!("magic2-none");
    let header = *only(data).header();
    let packed = repack(&batches(data), 0, &TARGET).unwrap();
    let stamp = Stamp {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
    };
    let mut restamped = packed[0].batch.restamp(stamp).unwrap();
    assert_eq!(restamped, only(data).restamp(stamp).unwrap());
    restamped.head[12..16].copy_from_slice(&header.leader_epoch.to_be_bytes());
    assert_eq!([&restamped.head[..], &restamped.body].concat(), data);
}

#[test]
fn kafka_batches_of_every_format_are_repacked() {
    for data in ALL {
        let log = batches(data);
        let packed = repack(&log, 0, &TARGET).unwrap();
        let expected = read(&log, 0);
        assert!(!expected.is_empty());
        assert_eq!(read_packed(&packed, &TARGET), expected);
    }
    let compacted = batches(gold!("magic2-compacted"));
    let ways: Vec<String> = compacted
        .iter()
        .map(|batch| match carriage(batch, 0, &TARGET) {
            Carriage::Open(reasons) => reasons.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(ways, ["gaps", "Drop(Empty)", "AsIs"]);
}

#[test]
fn append_time_counts_for_every_record() {
    let data = gold!("magic2-append");
    let header = *only(data).header();
    assert!(header.is_append_time());
    let mut expected = sent();
    for record in &mut expected {
        record.timestamp_ms = header.max_timestamp_ms;
    }
    assert_eq!(records(data), expected);
    assert!(header.max_timestamp_ms > 1_790_000_000_000, "the broker's clock, not the producer's");
}

#[test]
fn transactions_are_told_apart() {
    use BatchContent::{Aborted, Control, Data};
    let all = batches(gold!("magic2-transactions"));
    let kinds: Vec<_> = all.iter().filter_map(|batch| control_kind(batch).unwrap()).collect();
    assert_eq!(kinds, [ControlKind::Abort, ControlKind::Commit, ControlKind::Commit]);
    let transactional: Vec<bool> = all.iter().map(|batch| batch.header().is_transactional()).collect();
    assert_eq!(transactional, [true, true, false, true, true, true, true, true, true]);

    let aborter = all[1].header().producer_id;
    let mut filter = AbortedFilter::new(vec![(aborter, 1)]);
    let verdicts: Vec<_> = all.iter().map(|batch| filter.takes(batch).unwrap()).collect();
    // The producer that aborted goes on and commits its next transaction.
    assert_eq!(verdicts, [Data, Aborted, Data, Aborted, Data, Control, Control, Data, Control]);
}

#[test]
fn what_the_cleaner_leaves_is_read() {
    let data = gold!("magic2-compacted");
    let all = batches(data);
    let headers: Vec<_> = all.iter().map(|batch| *batch.header()).collect();
    let ranges: Vec<_> = headers.iter().map(|h| (h.base_offset, h.next_offset(), h.record_count)).collect();
    assert_eq!(ranges, [(0, 6, 3), (7, 8, 0), (8, 9, 1)]);
    let horizons: Vec<_> = headers.iter().map(|header| header.has_delete_horizon()).collect();
    assert_eq!(horizons, [true, false, false]);
    assert_eq!(
        records(data),
        [
            record(3, 1_700_000_000_000, bytes("k3"), bytes("v-k3")),
            record(4, 1_700_000_000_000, bytes("k1"), bytes("v-k1")),
            record(5, 1_700_000_000_010, bytes("k2"), None),
            record(8, 1_700_000_060_000, bytes("roll"), bytes("z")),
        ]
    );
}

#[test]
fn message_sets_of_before_0_11_are_read() {
    let none = [-1; 3];
    let sent_ms = [1_700_000_000_000, 1_699_999_999_000, 1_700_000_000_500];
    let appended_ms = [1_700_000_099_000; 3];
    let expected: [(usize, [i64; 3]); 11] = [
        (0, none),
        (1, none),
        (2, none),
        (3, none),
        (4, sent_ms),
        (5, sent_ms),
        (6, appended_ms),
        (7, sent_ms),
        (8, appended_ms),
        (9, sent_ms),
        (10, appended_ms),
    ];
    for (file, timestamps_ms) in expected {
        assert_eq!(records(ALL[file]), sent_legacy(timestamps_ms), "file {file}");
    }
    let uncompressed = batches(gold!("magic1-none"));
    let headers: Vec<_> = uncompressed.iter().map(|batch| *batch.header()).collect();
    assert_eq!(headers.iter().map(|h| h.base_offset).collect::<Vec<_>>(), [1000, 1001, 1004]);
    assert!(headers.iter().all(|h| (h.magic, h.record_count, h.leader_epoch) == (1, 1, -1)));
    let wrapped = *only(gold!("magic1-lz4-append")).header();
    assert_eq!((wrapped.next_offset(), wrapped.record_count, wrapped.codec()), (1005, -1, Ok(Codec::Lz4)));
    assert!(wrapped.is_append_time() && !wrapped.is_control() && !wrapped.is_transactional());
}

/// Brokers stamp the outer message only; the times inside stay the producer's.
#[test]
fn the_outer_append_time_counts_for_messages_inside() {
    let mut stamped = gold!("magic1-gzip").to_vec();
    stamped[17] |= 0x08;
    stamped[18..26].copy_from_slice(&7_i64.to_be_bytes());
    assert_eq!(only(&stamped).records().unwrap(), sent_legacy([7; 3]));
}

/// A magic 0 writer's LZ4 checksum is wrong (KIP-57), and only there it may be.
#[test]
fn the_broken_lz4_checksum_is_accepted_in_magic_0_only() {
    let data = only(gold!("magic2-lz4"));
    let checksum_at = 61 + 6;
    let forged = forge(data.bytes(), |bytes| bytes[checksum_at] ^= 0x55);
    let error = only(&forged).records().unwrap_err();
    assert!(matches!(error.problem, BatchProblem::Decompress { codec: Codec::Lz4, .. }), "{error}");
}

#[test]
fn a_cut_anywhere_gives_the_whole_batches_before_it() {
    for data in ALL {
        let whole = batches(data);
        for end in 0..data.len() {
            let cut = batches(&data[..end]);
            assert_eq!(cut, whole[..cut.len()]);
            let next = whole[cut.len()].bytes().len();
            let before: usize = cut.iter().map(|batch| batch.bytes().len()).sum();
            assert!(end < before + next, "a batch that was there whole is missing at {end}");
        }
    }
}

/// Every damaged byte is noticed, except in what brokers rewrite and the checksum therefore leaves out.
#[test]
fn a_flipped_byte_is_noticed() {
    for data in ALL {
        let whole = batches(data);
        let mut start = 0;
        for batch in &whole {
            let unchecked = if batch.header().magic == 2 { 0..16 } else { 0..12 };
            for at in (0..batch.bytes().len()).filter(|at| !unchecked.contains(at)) {
                let mut damaged = data.to_vec();
                damaged[start + at] ^= 0x10;
                let found = split(damaged.into()).any(|batch| match batch {
                    Ok(batch) => batch.verify_crc().is_err(),
                    Err(_) => true,
                });
                assert!(found, "byte {at} of the batch at {start}");
            }
            start += batch.bytes().len();
        }
    }
}
