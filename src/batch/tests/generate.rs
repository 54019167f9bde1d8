//! Records and batches of every kind, for the property tests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::batch::{BatchBuilder, Record, RecordHeader};
use crate::model::Codec;

#[derive(Clone, Debug)]
pub(super) struct Pushed {
    pub(super) gap: u32,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub(super) fn data() -> impl Strategy<Value = Vec<u8>> {
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
    pub(super) fn pushed()(
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

/// Pushes records into a batch that starts at `offset`. Returns them as they should be read, and the offset after
/// the last.
pub(super) fn push_all(builder: &mut BatchBuilder, mut offset: i64, pushes: &[Pushed]) -> (Vec<Record>, i64) {
    let mut expected = Vec::new();
    for push in pushes {
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
    (expected, offset)
}

/// A message of magic 0 or 1 with this value and no key; the checksum is left 0.
pub(super) fn message(magic: u8, codec: Codec, offset: i64, timestamp_ms: i64, value: &[u8]) -> Vec<u8> {
    let mut out = offset.to_be_bytes().to_vec();
    let stamp = timestamp_ms.to_be_bytes();
    let stamp = if magic == 1 { &stamp[..] } else { &[] };
    out.extend_from_slice(&((14 + stamp.len() + value.len()) as i32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, magic, codec.number()]);
    out.extend_from_slice(stamp);
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// Values as one entry of magic 0 or 1, compressed together; the first gets this offset.
pub(super) fn message_set(magic: u8, codec: Codec, offset: i64, values: &[Vec<u8>]) -> Vec<u8> {
    let first = if magic == 1 { 0 } else { offset };
    let inner: Vec<u8> = (first..)
        .zip(values)
        .flat_map(|(at, value)| message(magic, Codec::None, at, 7 + at, value))
        .collect();
    // Writers of magic 0 spoil the checksum of LZ4's frame; with other codecs there is none.
    let compressed = codec.compress(&inner).unwrap();
    message(magic, codec, offset + values.len() as i64 - 1, 7, &compressed)
}
