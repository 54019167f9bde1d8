//! A restamped batch has another producer; all else is as it was.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchProblem, Restamped, Stamp};

fn whole(restamped: &Restamped) -> Vec<u8> {
    [&restamped.head[..], &restamped.body].concat()
}

const STAMP: Stamp = Stamp { producer_id: 4_000, producer_epoch: 3, base_sequence: 77 };

proptest! {
    #[test]
    fn only_the_producer_changes(
        codec in proptest::sample::select(&CODECS[..]),
        base_offset in 0..i64::MAX / 2,
        leader_epoch: i32,
        producer in any::<(i64, i16, i32)>(),
        // Append time, transaction, delete horizon, and a bit without a meaning yet.
        flags in (0..16_u8).prop_map(|bits| (bits & 3) << 3 | (bits & 12) << 4),
        stamp in any::<(i64, i16, i32)>(),
        records in vec((any::<i64>(), vec(any::<u8>(), 0..50)), 1..10),
    ) {
        let stamp = Stamp { producer_id: stamp.0, producer_epoch: stamp.1, base_sequence: stamp.2 };
        let mut builder = BatchBuilder::new(codec)
            .base_offset(base_offset)
            .leader_epoch(leader_epoch)
            .producer(producer.0, producer.1, producer.2);
        for (timestamp_ms, value) in &records {
            builder.push(*timestamp_ms, Some(value), Some(value), &[]);
        }
        let source = only(&forge(&builder.build().unwrap(), |bytes| bytes[22] |= flags));
        source.verify_crc().unwrap();

        let restamped = source.restamp(stamp).unwrap();
        prop_assert_eq!(restamped.body.as_ptr(), source.bytes()[61..].as_ptr(), "not copied");
        prop_assert_eq!(restamped.len_bytes(), source.bytes().len());
        let target = only(&whole(&restamped));
        target.verify_crc().unwrap();
        prop_assert_eq!(&target.bytes()[61..], &source.bytes()[61..]);
        let expected = crate::batch::Header {
            base_offset: 0,
            leader_epoch: -1,
            crc: target.header().crc,
            attributes: source.header().attributes & !0x58,
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            ..*source.header()
        };
        prop_assert_eq!(target.header(), &expected);

        let append_time = source.header().is_append_time();
        let records = target.records().unwrap();
        for (target, source) in records.iter().zip(source.records().unwrap()) {
            prop_assert_eq!(target.offset, source.offset - base_offset);
            prop_assert!(append_time || target.timestamp_ms == source.timestamp_ms);
            prop_assert_eq!((&target.key, &target.value), (&source.key, &source.value));
        }
        prop_assert_eq!(records.len(), source.records().unwrap().len());
    }
}

/// What was damaged on the way is not made to look sound.
#[test]
fn a_broken_batch_stays_broken() {
    let mut damaged = one_value(Codec::None, b"value").to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let restamped = only(&damaged).restamp(STAMP).unwrap();
    let error = only(&whole(&restamped)).verify_crc().unwrap_err();
    assert!(matches!(error.problem, BatchProblem::Checksum { .. }), "{error}");
}

#[test]
fn what_no_producer_can_send_is_not_restamped() {
    let marker = only(&forge(&one_value(Codec::None, b""), |bytes| bytes[22] |= 0x20));
    let error = marker.restamp(STAMP).unwrap_err();
    assert_eq!(error.to_string(), "batch at offset 0: no producer can send it: it is a marker of the broker");
    let mut old = vec![0; 8];
    old.extend_from_slice(&14_i32.to_be_bytes());
    old.extend_from_slice(&[0; 6]);
    old.extend_from_slice(&[0xff; 8]);
    let error = only(&old).restamp(STAMP).unwrap_err();
    assert!(error.to_string().contains("older than that of Kafka 0.11"), "{error}");
}
