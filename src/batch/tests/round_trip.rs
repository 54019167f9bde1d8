//! What the builder writes, the record view reads, whatever it is.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchProblem, Record};

#[derive(Clone, Debug)]
struct Pushed {
    gap: u32,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    // Random bytes don't compress, runs do; runs above 64 KiB span LZ4 and Snappy blocks.
    prop_oneof![
        8 => vec(any::<u8>(), 0..100),
        1 => (any::<u8>(), 0..200_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn timestamp_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(-1),
        Just(0),
        Just(i64::MIN),
        Just(i64::MAX),
        any::<i64>(),
        1_600_000_000_000..1_700_000_000_000_i64
    ]
}

prop_compose! {
    fn pushed()(
        gap in prop_oneof![3 => Just(0), 1 => 0..1_000_000_u32],
        timestamp_ms in timestamp_ms(),
        key in option::of(data()),
        value in option::of(data()),
        // Few distinct keys, so that they repeat.
        headers in vec((vec(0xfe..=0xff_u8, 0..2), option::of(vec(any::<u8>(), 0..5))), 0..4),
    ) -> Pushed {
        Pushed { gap, timestamp_ms, key, value, headers }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn records_come_back_bit_for_bit(
        codec in proptest::sample::select(&CODECS[..]),
        base_offset in 0..i64::MAX / 2,
        producer in any::<(i64, i16, i32)>(),
        transactional: bool,
        leader_epoch: i32,
        pushes in vec(pushed(), 1..20),
    ) {
        let mut builder = BatchBuilder::new(codec)
            .base_offset(base_offset)
            .producer(producer.0, producer.1, producer.2)
            .transactional(transactional)
            .leader_epoch(leader_epoch);
        let mut expected = Vec::new();
        let mut offset = base_offset;
        for push in &pushes {
            builder.skip_offsets(push.gap);
            offset += i64::from(push.gap);
            let headers: Vec<_> = push.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
            builder.push(push.timestamp_ms, push.key.as_deref(), push.value.as_deref(), &headers);
            let stored = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
            expected.push(Record {
                offset,
                timestamp_ms: push.timestamp_ms,
                key: stored(&push.key),
                value: stored(&push.value),
                headers: push
                    .headers
                    .iter()
                    .map(|(key, value)| RecordHeader { key: key.clone().into(), value: stored(value) })
                    .collect(),
            });
            offset += 1;
        }
        prop_assert_eq!(builder.len_records(), pushes.len());
        let built = builder.build().unwrap();

        let batch = only(&built);
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.records().unwrap(), expected);
        let header = batch.header();
        prop_assert_eq!(header.codec(), Ok(codec));
        prop_assert_eq!(header.is_transactional(), transactional);
        prop_assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), producer);
        prop_assert_eq!(header.leader_epoch, leader_epoch);
        prop_assert_eq!(header.record_count as usize, pushes.len());
        prop_assert_eq!((header.base_offset, header.next_offset()), (base_offset, offset));
        prop_assert_eq!(header.max_timestamp_ms, pushes.iter().map(|push| push.timestamp_ms).max().unwrap());
    }

    #[test]
    fn batches_in_a_row_are_cut_apart(values in vec((proptest::sample::select(&CODECS[..]), data()), 0..10)) {
        let written: Vec<Bytes> = values.iter().map(|(codec, value)| one_value(*codec, value)).collect();
        let found: Vec<Bytes> = batches(&written.concat()).iter().map(|batch| batch.bytes().clone()).collect();
        prop_assert_eq!(found, written);
    }
}

/// Splitting and reading an uncompressed batch share the response's memory.
#[test]
fn nothing_is_copied() {
    let response = one_value(Codec::None, b"value");
    let range = response.as_ptr_range();
    let batch = split(response.clone()).next().unwrap().unwrap();
    assert!(range.contains(&batch.bytes().as_ptr()));
    let value = batch.records().unwrap().remove(0).value.unwrap();
    assert!(range.contains(&value.as_ptr()));
}

/// Producers other than Java's write Snappy without the framing.
#[test]
fn raw_snappy_is_read() {
    let framed = one_value(Codec::Snappy, b"value value value value value");
    let plain = one_value(Codec::None, b"value value value value value");
    let raw = snap::raw::Encoder::new().compress_vec(&plain[61..]).unwrap();
    let forged = forge(&framed, |bytes| {
        bytes.truncate(61);
        bytes.extend_from_slice(&raw);
    });
    assert_eq!(only(&forged).records(), only(&plain).records());
}

#[test]
fn an_empty_batch_and_one_beyond_the_format_are_not_built() {
    let error = BatchBuilder::new(Codec::Lz4).base_offset(7).build().unwrap_err();
    assert_eq!(error.to_string(), "batch at offset 7: a batch needs a record");
    let mut builder = BatchBuilder::new(Codec::None);
    builder.skip_offsets(i32::MAX as u32 + 1);
    builder.push(0, None, None, &[]);
    assert_eq!(builder.build().unwrap_err().problem, BatchProblem::Overflow);
}
