//! Tests of the whole room, and what they share.

mod aborted;
mod carriage;
mod generate;
mod golden;
mod hostile;
mod repack;
mod restamp;
mod round_trip;

use bytes::Bytes;

use super::header::CHECKED_FROM;
use super::{BatchBuilder, RawBatch, RecordHeader, split};
use crate::model::Codec;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// All batches of `data`, each of which must be sound in its header.
fn batches(data: &[u8]) -> Vec<RawBatch> {
    split(Bytes::copy_from_slice(data)).map(|batch| batch.unwrap()).collect()
}

/// The only batch of `data`.
fn only(data: &[u8]) -> RawBatch {
    let mut all = batches(data);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Changes bytes of a magic 2 batch and sets the checksum right, as a hostile writer would.
fn forge(batch: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A batch of one record with this value.
fn one_value(codec: Codec, value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.push(1, None, Some(value), &[]);
    builder.build().unwrap()
}

fn bytes(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

fn header(key: &'static str, value: Option<&'static str>) -> RecordHeader {
    RecordHeader { key: Bytes::from_static(key.as_bytes()), value: value.and_then(bytes) }
}
