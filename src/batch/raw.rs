//! Batches as they came, and cutting them out of a fetch response.

use std::iter::FusedIterator;

use bytes::Bytes;
use flate2::Crc;

use super::allowance::{Allowance, DEFAULT_LIMIT_BYTES};
use super::header::{CHECKED_FROM, HEADER_BYTES, PREFIX_BYTES, batch_bytes};
use super::{BatchError, BatchProblem, Header, Record, legacy, record};
use crate::model::Codec;

/// Exactly one batch as it is stored, sharing the memory it was cut from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBatch {
    bytes: Bytes,
    header: Header,
}

impl RawBatch {
    /// Takes bytes that hold exactly one batch. Fails if they hold less or more, or have no sound header.
    /// The checksum is not looked at: see [`RawBatch::verify_crc`].
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        match batch_bytes(&bytes)? {
            Some(length) if length == bytes.len() => Ok(Self { header: Header::read(&bytes)?, bytes }),
            Some(_) => Err(BatchProblem::Malformed("more bytes follow it").at(offset(&bytes))),
            None => Err(BatchProblem::Malformed("it is cut short").at(offset(&bytes))),
        }
    }

    /// The same batch in memory of its own: what it was cut from can go.
    pub fn detached(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), header: self.header }
    }

    /// The stored bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Compares the stored checksum with the bytes.
    ///
    /// It covers everything behind it: not the base offset, the length and the leader epoch, which brokers rewrite.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = if self.header.magic >= 2 {
            crc32c::crc32c(&self.bytes[CHECKED_FROM..])
        } else {
            let mut crc = Crc::new();
            crc.update(&self.bytes[PREFIX_BYTES + size_of::<u32>()..]);
            crc.sum()
        };
        let stored = self.header.crc;
        if computed == stored { Ok(()) } else { Err(self.error(BatchProblem::Checksum { stored, computed })) }
    }

    /// Opens the batch, within [`DEFAULT_LIMIT_BYTES`] of memory.
    ///
    /// The checksum is not looked at: see [`RawBatch::verify_crc`]. Records of a control batch are returned like
    /// others; they are markers, not data.
    pub fn records(&self) -> Result<Vec<Record>, BatchError> {
        self.records_within(DEFAULT_LIMIT_BYTES)
    }

    /// Opens the batch. What is decompressed and the list of records may together take `limit_bytes`; while a
    /// buffer grows, or a codec keeps its window, it is at most three times as much for a moment.
    pub fn records_within(&self, limit_bytes: usize) -> Result<Vec<Record>, BatchError> {
        let codec = self.header.codec()?;
        self.open(codec, &mut Allowance::new(limit_bytes)).map_err(|problem| self.error(problem))
    }

    fn open(&self, codec: Codec, allowance: &mut Allowance) -> Result<Vec<Record>, BatchProblem> {
        if self.header.magic < 2 {
            return legacy::read_entry(&self.header, &self.bytes, codec, allowance);
        }
        // What the cleaner leaves of an emptied batch may still name a compression.
        if self.header.record_count == 0 {
            return Ok(Vec::new());
        }
        record::read_all(&self.header, &self.body(codec, allowance)?, allowance)
    }

    /// The decompressed records of a batch of magic 2. One that is not compressed takes no memory.
    pub(super) fn body(&self, codec: Codec, allowance: &mut Allowance) -> Result<Bytes, BatchProblem> {
        let body = self.bytes.slice(HEADER_BYTES..);
        match codec {
            Codec::None => Ok(body),
            _ => Ok(codec.decompress(self.header.magic, &body, allowance)?.into()),
        }
    }

    fn error(&self, problem: BatchProblem) -> BatchError {
        problem.at(self.header.base_offset)
    }
}

/// The offset that the bytes start with; −1 if not even that is there.
fn offset(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(-1, |offset| i64::from_be_bytes(*offset))
}

/// Cuts a fetch response (or a log segment) into batches without copying.
///
/// Brokers cut responses anywhere: an incomplete last batch ends the iteration without an error. The first error
/// ends it too, because where the next batch starts is not known then.
pub fn split(data: Bytes) -> Split {
    Split { rest: data }
}

/// The batches of a fetch response; made by [`split`].
#[derive(Clone, Debug)]
pub struct Split {
    rest: Bytes,
}

impl Iterator for Split {
    type Item = Result<RawBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match batch_bytes(&self.rest) {
            Ok(Some(length)) => RawBatch::parse(self.rest.split_to(length)),
            Ok(None) => {
                self.rest = Bytes::new();
                return None;
            }
            Err(error) => Err(error),
        };
        if item.is_err() {
            self.rest = Bytes::new();
        }
        Some(item)
    }
}

impl FusedIterator for Split {}
