//! What the builder writes, the record view reads, whatever it is.

use proptest::collection::vec;
use proptest::prelude::*;

use super::generate::{data, push_all, pushed};
use super::*;
use crate::batch::BatchProblem;

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
        let (expected, offset) = push_all(&mut builder, base_offset, &pushes);
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
