//! What is written anew is what was there, in batches that the target takes.

use std::iter::zip;

use proptest::collection::vec;
use proptest::prelude::*;

use super::generate::{Pushed, message, message_set, push_all, pushed};
use super::*;
use crate::batch::{
    Acceptance, BatchProblem, Carriage, Codecs, Packed, Record, RepackProblem, Run, carriage, repack,
};

const LIMIT: usize = 1_000_000;
pub(super) const TARGET: Acceptance =
    Acceptance { max_message_bytes: LIMIT, append_time: false, refused: Codecs::NONE };

/// One batch of a partition, or what stands for one.
#[derive(Clone, Debug)]
enum StoredBatches {
    /// Magic 2, with flags: append time, transactional, delete horizon.
    Batch { codec: Codec, flags: u8, pushes: Vec<Pushed> },
    /// Magic 0 or 1.
    Legacy { magic: u8, codec: Codec, values: Vec<Vec<u8>> },
    /// A marker.
    Control,
    /// What the cleaner left of a batch.
    Emptied,
}

fn stored() -> impl Strategy<Value = StoredBatches> {
    let codec = || proptest::sample::select(&CODECS[..]);
    let flags = proptest::sample::select(&[0, 0, 0x08, 0x10, 0x40, 0x58][..]);
    let values = vec(vec(any::<u8>(), 0..60), 1..5);
    prop_oneof![
        6 => (codec(), flags, vec(pushed(), 1..12))
            .prop_map(|(codec, flags, pushes)| StoredBatches::Batch { codec, flags, pushes }),
        1 => (0..2_u8, proptest::sample::select(&CODECS[1..4]), values)
            .prop_map(|(magic, codec, values)| StoredBatches::Legacy { magic, codec, values }),
        1 => Just(StoredBatches::Control),
        1 => Just(StoredBatches::Emptied),
    ]
}

/// The batches of a log that holds these from `base_offset` on.
fn log(base_offset: i64, stored: &[StoredBatches]) -> Vec<RawBatch> {
    let mut offset = base_offset;
    let mut log = Vec::new();
    for one in stored {
        let bytes = match one {
            StoredBatches::Batch { codec, flags, pushes } => {
                let mut builder = BatchBuilder::new(*codec).base_offset(offset).producer(9, 1, 2);
                push_all(&mut builder, offset, pushes);
                forge(&builder.build().unwrap(), |bytes| bytes[22] |= flags)
            }
            StoredBatches::Legacy { magic, codec, values } => message_set(*magic, *codec, offset, values),
            StoredBatches::Control => forge(&at(offset, b"marker"), |bytes| bytes[22] |= 0x30),
            StoredBatches::Emptied => forge(&at(offset, b""), |bytes| {
                bytes.truncate(61);
                bytes[57..61].copy_from_slice(&[0; 4]);
            }),
        };
        let batch = only(&bytes);
        offset = batch.header().next_offset();
        log.push(batch);
    }
    log
}

fn at(offset: i64, value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None).base_offset(offset);
    builder.push(1, None, Some(value), &[]);
    builder.build().unwrap()
}

/// What a reader of the log gets from `wanted_offset` on.
pub(super) fn read(log: &[RawBatch], wanted_offset: i64) -> Vec<Record> {
    let data = log.iter().filter(|batch| !batch.header().is_control());
    let records = data.flat_map(|batch| batch.records().unwrap());
    records.filter(|record| record.offset >= wanted_offset).collect()
}

/// Checks each batch by itself, and returns the records of all with the offsets that they had on the source.
pub(super) fn read_packed(packed: &[Packed], target: &Acceptance) -> Vec<Record> {
    let mut all = Vec::new();
    for one in packed {
        let header = one.batch.header();
        one.batch.verify_crc().unwrap();
        assert_eq!(carriage(&one.batch, 0, target), Carriage::AsIs);
        assert_eq!((header.base_offset, header.leader_epoch, header.producer_id), (0, -1, -1));
        assert_eq!((header.producer_epoch, header.base_sequence, header.attributes & !7), (-1, -1, 0));
        let mut records = one.batch.records().unwrap();
        assert_eq!(header.base_timestamp_ms, records[0].timestamp_ms);
        assert_eq!(header.max_timestamp_ms, records.iter().map(|record| record.timestamp_ms).max().unwrap());
        let offsets: Vec<i64> = one.runs.iter().flat_map(|run| run.source_base..run.source_next()).collect();
        assert_eq!(offsets.len(), records.len());
        for (index, (record, offset)) in zip(&mut records, offsets).enumerate() {
            assert_eq!(record.offset, index as i64);
            record.offset = offset;
        }
        assert!(
            one.runs.windows(2).all(|runs| runs[0].source_next() < runs[1].source_base),
            "runs are whole"
        );
        all.append(&mut records);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn records_are_what_they_were(
        base_offset in 0..i64::MAX / 2,
        stored in vec(stored(), 1..8),
        wanted in 0.0..1.0_f64,
        limit in prop_oneof![200..3_000_usize, 3_000..400_000_usize],
        append_time: bool,
        refused in vec(proptest::sample::select(&CODECS[1..]), 0..4),
    ) {
        let log = log(base_offset, &stored);
        let end = log.last().unwrap().header().next_offset();
        let wanted_offset = base_offset + ((end - base_offset) as f64 * wanted) as i64;
        let refused = refused.into_iter().fold(Codecs::NONE, Codecs::with);
        let target = Acceptance { max_message_bytes: limit, append_time, refused };
        let expected = read(&log, wanted_offset);

        match repack(&log, wanted_offset, &target) {
            Ok(packed) => prop_assert_eq!(read_packed(&packed, &target), expected),
            Err(error) => {
                let RepackProblem::RecordTooLarge { offset, bytes, limit: told } = error.problem else {
                    panic!("{error}");
                };
                let too_large = expected.iter().position(|record| record.offset == offset).unwrap();
                prop_assert_eq!(read_packed(&error.before, &target), &expected[..too_large]);
                prop_assert_eq!(told, limit);
                prop_assert!(bytes > limit);
                prop_assert!(alone(&expected[too_large]).bytes().len() > limit);
            }
        }
    }

    /// Nothing is cut smaller than it must be.
    #[test]
    fn uncompressed_batches_are_filled(
        pushes in vec(pushed(), 1..30),
        limit in 400_000..800_000_usize,
    ) {
        let stored = [StoredBatches::Batch { codec: Codec::None, flags: 0, pushes }];
        let packed = repack(&log(0, &stored), 0, &Acceptance { max_message_bytes: limit, ..TARGET });
        for pair in packed.unwrap().windows(2) {
            let next = alone(&pair[1].batch.records().unwrap()[0]).bytes().len() - 61;
            // Timestamp and offset count from another record then, in at most ten and five bytes more.
            prop_assert!(pair[0].batch.bytes().len() + next + 15 > limit);
        }
    }
}

/// The record as an uncompressed batch.
fn alone(record: &Record) -> RawBatch {
    let mut builder = BatchBuilder::new(Codec::None);
    let headers: Vec<_> =
        record.headers.iter().map(|header| (&header.key[..], header.value.as_deref())).collect();
    builder.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers);
    only(&builder.build().unwrap())
}

/// Single-record batches from `base_offset` on.
fn singles(codec: Codec, base_offset: i64, values: &[Vec<u8>]) -> Vec<RawBatch> {
    let batch = |(offset, value): (i64, &Vec<u8>)| {
        let mut builder = BatchBuilder::new(codec).base_offset(offset).producer(1, 2, 3);
        builder.push(offset * 10, None, Some(value), &[]);
        only(&builder.build().unwrap())
    };
    (base_offset..).zip(values).map(batch).collect()
}

/// Bytes without any pattern, the same in every run.
fn noise(count: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[test]
fn small_batches_become_one() {
    for codec in CODECS {
        let batches = singles(codec, 500, &vec![vec![b'v'; 2_000]; 50]);
        let packed = repack(&batches, 0, &TARGET).unwrap();
        assert_eq!(packed.len(), 1, "{codec}");
        assert_eq!(packed[0].runs, [Run { source_base: 500, count: 50 }]);
        assert_eq!(packed[0].batch.header().codec(), Ok(codec));
        assert_eq!(packed[0].batch.header().max_timestamp_ms, 5_490);
        assert_eq!(packed[0].batch.header().record_count, 50);
    }
}

#[test]
fn one_compression_is_kept_and_a_refused_one_replaced() {
    let value = [vec![b'v'; 500]];
    let mixed: Vec<RawBatch> = [(0, Codec::None), (1, Codec::Zstd), (2, Codec::Lz4)]
        .into_iter()
        .flat_map(|(offset, codec)| singles(codec, offset, &value))
        .collect();
    let used = |refused: &[Codec]| {
        let refused = refused.iter().fold(Codecs::NONE, |set, codec| set.with(*codec));
        let packed = repack(&mixed, 0, &Acceptance { refused, ..TARGET }).unwrap();
        assert_eq!(packed.len(), 1);
        packed[0].batch.header().codec().unwrap()
    };
    assert_eq!(used(&[]), Codec::Zstd, "the first that is one");
    assert_eq!(used(&[Codec::Gzip]), Codec::Zstd);
    assert_eq!(used(&[Codec::Zstd]), Codec::Lz4);
    assert_eq!(used(&[Codec::Zstd, Codec::Lz4]), Codec::Snappy);
    assert_eq!(used(&CODECS[1..]), Codec::None);
}

/// The guess, made from the whole, is wrong for every part: half of the batch compresses to nothing.
#[test]
fn an_uneven_batch_is_halved_until_it_fits() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new(codec).base_offset(10);
        for index in 0..100_u64 {
            let value = if index < 50 { vec![0; 3_000] } else { noise(3_000, index) };
            builder.push(7, None, Some(&value), &[]);
        }
        let batch = only(&builder.build().unwrap());
        let target = Acceptance { max_message_bytes: 20_000, ..TARGET };
        let packed = repack(std::slice::from_ref(&batch), 0, &target).unwrap();
        assert_eq!(read_packed(&packed, &target), batch.records().unwrap(), "{codec}");
        // 150 kB of noise need 8 batches; halves may be half full.
        assert!(packed.len() <= 32, "{codec}: {}", packed.len());
    }
}

#[test]
fn a_record_that_is_too_large_alone_is_named_and_those_before_it_are_packed() {
    for codec in CODECS {
        let batches = singles(codec, 30, &[noise(900, 1), noise(900, 2), noise(3_000, 3), noise(900, 4)]);
        let target = Acceptance { max_message_bytes: 2_000, ..TARGET };
        let error = repack(&batches, 0, &target).unwrap_err();
        assert_eq!(read_packed(&error.before, &target), read(&batches[..2], 0), "{codec}");
        let RepackProblem::RecordTooLarge { offset: 32, bytes: 3_000..3_100, limit: 2_000 } = error.problem
        else {
            panic!("{codec}: {error}");
        };
        assert!(error.to_string().contains("record at offset 32"), "{error}");
    }
}

/// Compression makes noise larger; a record that fits without it is no reason to stop a partition.
#[test]
fn a_record_that_fits_only_uncompressed_goes_so() {
    for codec in CODECS {
        let value = noise(1_000, 1);
        let plain = only(&one_value(Codec::None, &value));
        let target = Acceptance { max_message_bytes: plain.bytes().len(), ..TARGET };
        let compressed = only(&one_value(codec, &value));
        assert!(codec == Codec::None || compressed.bytes().len() > target.max_message_bytes);
        let packed = repack(&[compressed], 0, &target).unwrap();
        assert_eq!(packed[0].batch.bytes(), plain.bytes(), "{codec}");
    }
}

#[test]
fn a_batch_that_cannot_be_read_ends_it_and_gives_nothing() {
    let mut batches = singles(Codec::Lz4, 0, &vec![vec![b'v'; 100]; 4]);
    // Its first record is sound, its second is not.
    let mut builder = BatchBuilder::new(Codec::None).base_offset(2);
    builder.push(1, None, Some(b"sound"), &[]);
    builder.push(1, None, Some(b""), &[]);
    let damaged = forge(&builder.build().unwrap(), |bytes| *bytes.last_mut().unwrap() = 1);
    let undecodable = forge(batches[2].bytes(), |bytes| bytes.truncate(70));
    for broken in [damaged, undecodable] {
        batches[2] = only(&broken);
        let error = repack(&batches, 0, &TARGET).unwrap_err();
        assert_eq!(read_packed(&error.before, &TARGET), read(&batches[..2], 0));
        let RepackProblem::Batch(problem) = error.problem else { panic!("{error}") };
        assert_eq!((problem.offset, Err(problem)), (2, batches[2].records()));
    }
}

/// Many small batches may open to much: they are taken some at a time.
#[test]
fn what_is_open_at_a_time_is_bounded() {
    let batches = singles(Codec::Zstd, 0, &vec![vec![0; 4 << 20]; 6]);
    let packed = repack(&batches, 0, &TARGET).unwrap();
    let counts: Vec<i32> = packed.iter().map(|one| one.batch.header().record_count).collect();
    assert_eq!(counts, [4, 2]);
}

#[test]
fn append_time_becomes_the_records_own() {
    let batch = only(&forge(&at(4, b"v"), |bytes| {
        bytes[22] |= 0x08;
        bytes[35..43].copy_from_slice(&99_i64.to_be_bytes());
    }));
    let packed = repack(&[batch], 0, &TARGET).unwrap();
    assert_eq!(packed[0].batch.records().unwrap()[0].timestamp_ms, 99);
}

#[test]
fn old_messages_are_written_the_new_way() {
    let old = [message(0, Codec::None, 5, 0, b"none"), message(1, Codec::None, 6, 77, b"own")].concat();
    let packed = repack(&batches(&old), 0, &TARGET).unwrap();
    let records = read_packed(&packed, &TARGET);
    let facts: Vec<_> =
        records.iter().map(|record| (record.offset, record.timestamp_ms, &record.value)).collect();
    assert_eq!(facts, [(5, -1, &bytes("none")), (6, 77, &bytes("own"))]);
}

#[test]
fn nothing_wanted_gives_nothing() {
    assert_eq!(repack(&[], 0, &TARGET), Ok(vec![]));
    assert_eq!(repack(&singles(Codec::Lz4, 0, &[vec![1]]), 1, &TARGET), Ok(vec![]));
    let unknown = only(&forge(&at(0, b"v"), |bytes| bytes[22] = 7));
    let error = repack(&[unknown], 0, &TARGET).unwrap_err();
    assert_eq!(error.problem, RepackProblem::Batch(BatchProblem::UnknownCodec(7).at(0)));
}
