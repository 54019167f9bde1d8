//! Bytes that nobody honest wrote: always an error, never a panic, and no memory beyond the limit.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::cursor::{put_varint, put_varlong};
use crate::batch::{AbortedFilter, BatchProblem, Record};

/// Does with a response all that can be done, and returns how many batches there were.
fn exercise(data: Vec<u8>) -> usize {
    let size = data.len();
    let mut filter = AbortedFilter::new(vec![(1, 0)]);
    let mut offset = i64::MIN;
    let mut whole = 0;
    for batch in split(data.into()) {
        let Ok(batch) = batch else { break };
        whole += batch.bytes().len();
        assert!(whole <= size);
        offset = offset.max(batch.header().next_offset());
        assert!(batch.header().next_offset() > batch.header().base_offset, "a reader goes forward");
        let verdict = filter.takes(&batch);
        let records = batch.records_within(1 << 20);
        assert!(verdict.is_ok() || batch.header().is_control());
        if let Ok(records) = records {
            assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
            assert!(records.len() * size_of::<Record>() <= 1 << 20);
        }
    }
    whole
}

/// A batch whose body is given as it is, with a record count and last offset to match.
fn with_body(codec: Codec, count: i32, body: &[u8]) -> RawBatch {
    let forged = forge(&one_value(Codec::None, b""), |bytes| {
        bytes.truncate(61);
        bytes[22] = codec.number();
        bytes[23..27].copy_from_slice(&(count.max(1) - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(body);
    });
    only(&forged)
}

fn problem(batch: &RawBatch) -> BatchProblem {
    batch.verify_crc().unwrap();
    batch.records().unwrap_err().problem
}

/// The record `content`, with its length before it.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, content.len() as i32);
    out.extend_from_slice(content);
    out
}

/// A record without key, value and headers.
const EMPTY: [u8; 6] = [0, 0, 0, 1, 1, 0];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes(data in vec(any::<u8>(), 0..300)) {
        exercise(data);
    }

    /// With a sound frame around them, random bytes reach the decompressors and the record view.
    #[test]
    fn random_bodies(codec in 0..8_u8, count in -1..20_i32, body in vec(any::<u8>(), 0..300)) {
        let forged = forge(with_body(Codec::None, count, &body).bytes(), |bytes| bytes[22] = codec);
        prop_assert_eq!(exercise(forged.clone()), forged.len());
    }

    /// A good batch with a few bytes changed and the checksum set right.
    #[test]
    fn mutated_batches(
        codec in proptest::sample::select(&CODECS[..]),
        value in vec(0..4_u8, 0..200),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut builder = BatchBuilder::new(codec).producer(1, 0, 0);
        for _ in 0..5 {
            builder.push(0, Some(b"key"), Some(&value), &[(b"h", None)]);
        }
        let forged = forge(&builder.build().unwrap(), |bytes| {
            for (at, byte) in changes {
                // The frame stays sound: length, magic and checksum are set right anyway.
                let at = 21 + at.index(bytes.len() - 21);
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(61 + cut.index(bytes.len() - 61));
            }
        });
        exercise(forged);
    }

    /// The same inside a message set of magic 0 or 1.
    #[test]
    fn mutated_message_sets(
        magic in 0..2_u8,
        codec in 0..4_u8,
        body in vec(any::<u8>(), 0..200),
        offset in 0..3_i64,
    ) {
        let mut entry = offset.to_be_bytes().to_vec();
        let stamp: &[u8] = if magic == 1 { &[0; 8] } else { &[] };
        let value = if codec == 0 { body } else { compress(codec, &body) };
        entry.extend_from_slice(&((14 + stamp.len() + value.len()) as i32).to_be_bytes());
        entry.extend_from_slice(&[0, 0, 0, 0, magic, codec]);
        entry.extend_from_slice(stamp);
        entry.extend_from_slice(&(-1_i32).to_be_bytes());
        entry.extend_from_slice(&(value.len() as i32).to_be_bytes());
        entry.extend_from_slice(&value);
        prop_assert_eq!(exercise(entry.clone()), entry.len());
    }

    /// Numbers come back, and a truncated one is an error.
    #[test]
    fn varints(value: i64) {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        let read = |bytes: &[u8]| crate::batch::cursor::Cursor::new(bytes).varlong();
        prop_assert_eq!(read(&out), Ok(value));
        prop_assert!(read(&out[..out.len() - 1]).is_err());
    }
}

fn compress(codec: u8, data: &[u8]) -> Vec<u8> {
    Codec::from_number(codec).unwrap().compress(data).unwrap()
}

#[test]
fn a_bomb_stops_at_the_limit() {
    for codec in CODECS {
        let batch = only(&one_value(codec, &vec![0; 4 << 20]));
        let error = batch.records_within(1 << 20).map(|records| records.len());
        if codec == Codec::None {
            assert_eq!(error, Ok(1), "an uncompressed batch takes no memory beyond its own");
            continue;
        }
        assert_eq!(error.unwrap_err().problem, BatchProblem::TooLarge { limit_bytes: 1 << 20 }, "{codec}");
        assert_eq!(batch.records().unwrap()[0].value.as_ref().unwrap().len(), 4 << 20, "{codec}");
    }
}

/// Tiny records take more memory as a list than as bytes; the list counts.
#[test]
fn a_list_of_tiny_records_counts_against_the_limit() {
    let mut builder = BatchBuilder::new(Codec::Zstd);
    for _ in 0..10_000 {
        builder.push(0, None, None, &[]);
    }
    let decompressed = builder.len_bytes() - 61;
    let batch = only(&builder.build().unwrap());
    let needed = decompressed + 10_000 * size_of::<Record>();
    assert_eq!(batch.records_within(needed).unwrap().len(), 10_000);
    let short = batch.records_within(needed - 1).map(|records| records.len());
    assert_eq!(short.unwrap_err().problem, BatchProblem::TooLarge { limit_bytes: needed - 1 });

    let headers: Vec<(&[u8], Option<&[u8]>)> = vec![(b"", None); 10_000];
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(0, None, None, &headers);
    let batch = only(&builder.build().unwrap());
    assert!(batch.records_within(10_000 * size_of::<RecordHeader>()).is_err());
    assert!(batch.records_within(10_001 * size_of::<RecordHeader>() + 1_000).is_ok());
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_anything_is_allocated() {
    let batch = with_body(Codec::None, i32::MAX, &framed(&EMPTY));
    assert_eq!(problem(&batch), BatchProblem::Malformed("its record count is more than its bytes can hold"));
    let mut content = EMPTY[..5].to_vec();
    put_varint(&mut content, i32::MAX);
    let batch = with_body(Codec::None, 1, &framed(&content));
    let expected = BatchProblem::Malformed("a record has more headers than its bytes can hold");
    assert_eq!(problem(&batch), expected);
    // A Snappy block of a few bytes that claims four gigabytes.
    let batch = with_body(Codec::Snappy, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert!(problem(&batch).to_string().contains("claims to hold more than it can"));
}

#[test]
fn contradictions_inside_records_are_refused() {
    let record = |content: &[u8]| problem(&with_body(Codec::None, 1, &framed(content))).to_string();
    assert!(with_body(Codec::None, 1, &framed(&EMPTY)).records().is_ok());
    assert!(record(&[0, 0, 0, 1, 1, 0, 9]).contains("longer than what it holds"));
    assert!(record(&[0, 0, 0, 1, 1, 1, 0, 0]).contains("negative number of headers"));
    assert!(record(&[0, 0, 0, 1, 1, 2, 1, 1]).contains("key of negative length"));
    assert!(record(&[0, 0, 0, 20, 1, 0]).contains("ends beyond"));
    assert!(record(&[0, 0, 2, 1, 1, 0]).contains("don't rise"), "beyond the last offset");
    assert!(record(&[0, 0, 1, 1, 1, 0]).contains("don't rise"), "before the base offset");
    assert!(record(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 1, 0]).contains("longer than its type"));

    let twice = [framed(&EMPTY), framed(&EMPTY)].concat();
    assert!(problem(&with_body(Codec::None, 2, &twice)).to_string().contains("don't rise"));
    assert!(problem(&with_body(Codec::None, 1, &twice)).to_string().contains("left after"));
    assert!(problem(&with_body(Codec::None, -1, &twice)).to_string().contains("negative"));
    let negative = [&[1_u8][..], &EMPTY].concat();
    assert!(problem(&with_body(Codec::None, 1, &negative)).to_string().contains("negative length"));
}

#[test]
fn frames_that_lead_nowhere_are_refused() {
    let good = one_value(Codec::None, b"v");
    let first = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        let mut all = split(Bytes::from([&bytes[..], &good[..]].concat()));
        let error = all.next().unwrap().unwrap_err().problem;
        assert!(all.next().is_none(), "where the next batch starts is not known");
        error
    };
    assert_eq!(first(&|b| b[8..12].copy_from_slice(&(-1_i32).to_be_bytes())), BatchProblem::Length(-1));
    assert_eq!(first(&|b| b[8..12].copy_from_slice(&0_i32.to_be_bytes())), BatchProblem::Length(0));
    assert_eq!(first(&|b| b[8..12].copy_from_slice(&48_i32.to_be_bytes())), BatchProblem::Length(48));
    assert_eq!(first(&|b| b[16] = 3), BatchProblem::Magic(3));
    assert_eq!(first(&|b| b[16] = 0xff), BatchProblem::Magic(-1));
    let offset = first(&|b| b[0] = 0x80);
    assert_eq!(offset, BatchProblem::Malformed("its offset is negative"));
    let range = BatchProblem::Malformed("its last offset is out of range");
    assert_eq!(first(&|b| b[23] = 0x80), range);
    assert_eq!(first(&|b| b[..8].copy_from_slice(&i64::MAX.to_be_bytes())), range);
}

#[test]
fn exactly_one_batch_is_one_batch() {
    let good = one_value(Codec::None, b"v");
    assert!(RawBatch::parse(good.clone()).is_ok());
    let two = Bytes::from([&good[..], &good[..]].concat());
    assert!(RawBatch::parse(two).unwrap_err().to_string().contains("more bytes follow"));
    assert!(RawBatch::parse(good.slice(..20)).unwrap_err().to_string().contains("cut short"));
    assert!(RawBatch::parse(Bytes::new()).is_err());
}

#[test]
fn compressions_that_kafka_does_not_have_are_named() {
    let good = one_value(Codec::None, b"v");
    for number in 5..8 {
        let batch = only(&forge(&good, |bytes| bytes[22] = number));
        assert_eq!(batch.header().codec().unwrap_err().problem, BatchProblem::UnknownCodec(number));
        assert!(batch.records().is_err());
    }
}

#[test]
fn a_wrong_checksum_shows_both() {
    let mut bytes = one_value(Codec::None, b"v").to_vec();
    bytes[17..21].copy_from_slice(&[0; 4]);
    let error = only(&bytes).verify_crc().unwrap_err();
    assert!(matches!(error.problem, BatchProblem::Checksum { stored: 0, computed: 1.. }), "{error}");
}
