use proptest::prelude::*;

use super::*;
use crate::batch::BatchBuilder;
use crate::model::Codec;

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Records at these offsets, in a batch that covers `base` to `last`.
fn batch(base: i64, last: i64, offsets: &[i64], codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec).base_offset(base).leader_epoch(4);
    let mut at = base;
    for offset in offsets {
        builder.skip_offsets(u32::try_from(offset - at).unwrap());
        builder.push(1_000 + offset, None, Some(b"value"), &[]);
        at = offset + 1;
    }
    let mut bytes = builder.build().unwrap().to_vec();
    bytes[23..27].copy_from_slice(&i32::try_from(last - base).unwrap().to_be_bytes());
    seal(bytes)
}

/// Sets the checksum right.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn whole(base: i64, count: i64) -> Vec<u8> {
    batch(base, base + count - 1, &(base..base + count).collect::<Vec<_>>(), Codec::Lz4)
}

/// Part of a producer's transaction.
fn transactional(mut bytes: Vec<u8>, producer: i64) -> Vec<u8> {
    bytes[22] |= TRANSACTIONAL as u8;
    bytes[43..51].copy_from_slice(&producer.to_be_bytes());
    seal(bytes)
}

/// The end of a producer's transaction: 0 aborts it, 1 commits it.
fn marker(offset: i64, producer: i64, kind: u8) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None).base_offset(offset).leader_epoch(4);
    builder.push(1, Some(&[0, 0, 0, kind]), Some(&[0; 6]), &[]);
    let mut bytes = transactional(builder.build().unwrap().to_vec(), producer);
    bytes[22] |= CONTROL as u8;
    seal(bytes)
}

/// What was delivered, as (source base, source next, records).
type Delivered = Vec<(i64, i64, u32)>;

fn answer(records: &[u8], wanted: i64) -> PartitionAnswer {
    PartitionAnswer {
        records: Bytes::copy_from_slice(records),
        aborted: Vec::new(),
        isolation: Isolation::ReadCommitted,
        wanted,
        last_epoch: 2,
    }
}

fn take(answer: PartitionAnswer) -> (Delivered, Taken) {
    let mut delivered = Vec::new();
    let taken = answer.take(|info, batch| {
        assert_eq!(info.records == 0, batch.is_none());
        assert_eq!(info.bytes, batch.map_or(0, |batch| batch.bytes().len()));
        delivered.push((info.source_base, info.source_next, info.records));
    });
    (delivered, taken)
}

fn went_on(next: i64) -> Taken {
    Taken { next, last_epoch: 4, damage: None, cut_bytes: None }
}

#[test]
fn batches_follow_each_other_over_gaps() {
    let data = [whole(10, 5), whole(20, 1)].concat();
    assert_eq!(take(answer(&data, 10)), (vec![(10, 15, 5), (15, 21, 1)], went_on(21)));
}

#[test]
fn what_lies_below_the_wanted_offset_is_not_counted() {
    let sparse = batch(10, 19, &[11, 14, 18], Codec::Zstd);
    assert_eq!(take(answer(&sparse, 14)).0, [(14, 20, 2)]);
    assert_eq!(take(answer(&sparse, 10)).0, [(10, 20, 3)]);
    assert_eq!(take(answer(&sparse, 19)).0, [(19, 20, 0)], "only the range is left");
    let (delivered, taken) = take(answer(&sparse, 20));
    assert_eq!((delivered, taken.next, taken.last_epoch), (vec![], 20, 2));
}

#[test]
fn a_message_set_of_an_old_broker_is_opened_to_count() {
    let mut message = vec![0u8; 12];
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&[1, 0]);
    message.extend_from_slice(&5_000i64.to_be_bytes());
    message.extend_from_slice(&(-1i32).to_be_bytes());
    message.extend_from_slice(&3i32.to_be_bytes());
    message.extend_from_slice(b"old");
    let mut at_7 = message.clone();
    at_7[..8].copy_from_slice(&7i64.to_be_bytes());
    let length = i32::try_from(at_7.len() - 12).unwrap();
    at_7[8..12].copy_from_slice(&length.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&at_7[16..]);
    at_7[12..16].copy_from_slice(&crc.sum().to_be_bytes());
    let (delivered, taken) = take(answer(&at_7, 5));
    assert_eq!((delivered, taken.next, taken.last_epoch), (vec![(5, 8, 1)], 8, -1));
    assert_eq!(take(answer(&at_7, 8)).0, []);
}

#[test]
fn aborted_transactions_and_markers_are_passed_over() {
    let data = [
        transactional(whole(0, 3), 7),
        transactional(whole(3, 2), 8),
        marker(5, 7, 0),
        marker(6, 8, 1),
        whole(7, 1),
        transactional(whole(8, 4), 7),
        marker(12, 7, 0),
    ]
    .concat();
    let aborted = vec![(7, 0), (7, 8)];
    let committed = PartitionAnswer { aborted: aborted.clone(), ..answer(&data, 0) };
    assert_eq!(take(committed), (vec![(0, 5, 2), (5, 8, 1), (8, 13, 0)], went_on(13)));
    let all = PartitionAnswer { aborted, isolation: Isolation::ReadUncommitted, ..answer(&data, 0) };
    assert_eq!(take(all).0, [(0, 3, 3), (3, 5, 2), (5, 8, 1), (8, 12, 4), (12, 13, 0)]);
}

#[test]
fn an_emptied_batch_moves_the_position() {
    let mut emptied = whole(5, 3)[..61].to_vec();
    emptied[8..12].copy_from_slice(&49i32.to_be_bytes());
    emptied[57..61].copy_from_slice(&0i32.to_be_bytes());
    let data = [seal(emptied.clone()), whole(8, 1)].concat();
    assert_eq!(take(answer(&data, 6)).0, [(6, 9, 1)]);
    assert_eq!(take(answer(&seal(emptied), 6)).0, [(6, 8, 0)]);
}

#[test]
fn a_damaged_batch_is_told_after_the_sound_ones_and_not_handed_on() {
    let mut data = [whole(0, 3), whole(3, 3), whole(6, 1)].concat();
    let second = whole(0, 3).len();
    data[second + 70] ^= 1;
    let (delivered, taken) = take(answer(&data, 0));
    assert_eq!((delivered, taken.next), (vec![(0, 3, 3)], 3));
    let Some(SourceError::Corrupt { offset: 3, detail }) = taken.damage else { panic!("{:?}", taken.damage) };
    assert!(detail.contains("checksum"), "{detail}");
}

#[test]
fn a_wrong_count_is_damage() {
    let mut bytes = whole(0, 3);
    bytes[57..61].copy_from_slice(&900i32.to_be_bytes());
    let (delivered, taken) = take(answer(&seal(bytes), 0));
    assert!(delivered.is_empty());
    assert!(matches!(taken.damage, Some(SourceError::Corrupt { offset: 0, .. })), "{:?}", taken.damage);
}

#[test]
fn a_cut_first_batch_says_how_much_it_takes() {
    let data = whole(0, 100);
    for cut in [1, 11, 12, 60, data.len() - 1] {
        let (delivered, taken) = take(answer(&data[..cut], 0));
        let least = if cut < 12 { 12 } else { data.len() };
        assert_eq!((delivered, taken.next, taken.cut_bytes), (vec![], 0, Some(least)), "{cut}");
    }
    let two = [whole(0, 1), data].concat();
    assert_eq!(take(answer(&two[..two.len() - 1], 0)).1.cut_bytes, None, "the second one is asked for next");
    let mut absurd = whole(0, 1);
    absurd[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(take(answer(&absurd, 0)).1.damage.is_some(), "no broker stores this");
}

proptest! {
    /// Whatever the log looks like and wherever it is cut: the records that are counted are those that a reader sees
    /// at or above the wanted offset, and ranges follow each other.
    #[test]
    fn what_is_counted_is_what_a_reader_sees(
        shape in prop::collection::vec((1..6i64, prop::collection::vec(any::<bool>(), 6), 0..3i64), 1..12),
        wanted in 0..30i64,
        cut in 0..200usize,
    ) {
        let (mut data, mut at, mut all, mut ends) = (Vec::new(), 0, Vec::new(), Vec::new());
        for (span, kept, gap) in shape {
            let offsets: Vec<_> = (0..span).filter(|i| kept[*i as usize]).map(|i| at + i).collect();
            if !offsets.is_empty() {
                data.extend(batch(at, at + span - 1, &offsets, Codec::Lz4));
                ends.push((data.len(), at + span));
                all.extend(offsets);
            }
            at += span + gap;
        }
        data.truncate(data.len().saturating_sub(cut));
        let end = ends.iter().rev().find(|(bytes, _)| *bytes <= data.len()).map_or(0, |(_, end)| *end);
        let (delivered, taken) = take(answer(&data, wanted));
        prop_assert_eq!(taken.next, end.max(wanted));
        let mut next = wanted;
        for (base, after, records) in delivered {
            prop_assert_eq!(base, next);
            prop_assert!(after > base);
            let seen = all.iter().filter(|offset| (base..after).contains(*offset)).count();
            prop_assert_eq!(seen, records as usize);
            next = after;
        }
        prop_assert_eq!(next, taken.next);
    }
}
