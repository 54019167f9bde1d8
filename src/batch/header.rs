//! The fixed part of a batch.

use bytes::BufMut;

use super::{BatchError, BatchProblem};
use crate::model::Codec;

/// Bytes of a magic 2 header, base offset and length included.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that the length field counts.
pub(super) const PREFIX_BYTES: usize = 12;
/// Where the checksum of magic 2 is.
pub(super) const CRC_AT: usize = 17;
/// Where the attributes of magic 2 start; the checksum covers everything from here.
pub(super) const CHECKED_FROM: usize = 21;
/// Smallest length field of magic 0: checksum, magic, attributes, key length, value length.
const MIN_LENGTH_V0: usize = 14;
/// Smallest length field of magic 1: as magic 0, and the timestamp.
const MIN_LENGTH_V1: usize = 22;

/// Three bits of the attributes: the compression.
pub(super) const CODEC_MASK: i16 = 0x07;
/// The broker's time of appending counts for all records.
pub(super) const APPEND_TIME: i16 = 0x08;
/// Part of a transaction.
pub(super) const TRANSACTIONAL: i16 = 0x10;
/// Holds a marker of the broker, not data.
pub(super) const CONTROL: i16 = 0x20;
/// The base timestamp is the time at which the cleaner may drop the batch's tombstones (KIP-534).
pub(super) const DELETE_HORIZON: i16 = 0x40;

/// The header of a record batch (KIP-98, magic 2).
///
/// Entries of magic 0 and 1 have no such header; it is filled as far as they go: `base_offset` is the entry's own
/// offset, which for a compressed one is that of its *last* record; `record_count` is 1, or −1 for a compressed
/// one (only opening it tells); ids, epochs and sequence are −1, as is the timestamp of magic 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record at the time of writing; the cleaner keeps it even if it removes that record.
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// Leader epoch under which the batch was appended; −1 when unknown.
    pub leader_epoch: i32,
    /// Version of the format: 0, 1 or 2.
    pub magic: i8,
    /// The stored checksum: CRC-32C in magic 2, CRC-32 before.
    pub crc: u32,
    /// Compression and flags; read them through the methods.
    pub attributes: i16,
    /// Offset of the last record, relative to `base_offset`; the cleaner keeps it too.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from, in milliseconds since the epoch.
    pub base_timestamp_ms: i64,
    /// Largest timestamp of the records, or the broker's time of appending, in milliseconds since the epoch.
    pub max_timestamp_ms: i64,
    /// Id of the idempotent producer; −1 for others.
    pub producer_id: i64,
    /// Epoch of the idempotent producer; −1 for others.
    pub producer_epoch: i16,
    /// Sequence number of the first record; −1 without an idempotent producer.
    pub base_sequence: i32,
    /// Records in the batch; 0 when the cleaner removed all and keeps the header only.
    pub record_count: i32,
}

impl Header {
    /// The compression of the records. Fails on a number that Kafka doesn't have.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let number = (self.attributes & CODEC_MASK) as u8;
        match Codec::from_number(number) {
            // Magic 0 and 1 never had zstd (KIP-110).
            Some(codec) if codec != Codec::Zstd || self.magic >= 2 => Ok(codec),
            _ => Err(BatchProblem::UnknownCodec(number).at(self.base_offset)),
        }
    }

    /// Whether the batch holds a marker of the broker, not data.
    pub fn is_control(&self) -> bool {
        self.flag(CONTROL)
    }

    /// Whether the batch is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.flag(TRANSACTIONAL)
    }

    /// Whether the broker's time of appending counts as the time of every record.
    pub fn is_append_time(&self) -> bool {
        self.magic >= 1 && self.attributes & APPEND_TIME != 0
    }

    /// Whether the base timestamp is the time at which the cleaner may drop the batch's tombstones (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.flag(DELETE_HORIZON)
    }

    /// Offset of the last record that was written in the batch.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset from which to go on after the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    fn flag(&self, bit: i16) -> bool {
        self.magic >= 2 && self.attributes & bit != 0
    }

    /// Reads the header of the batch that `bytes` starts with. `bytes` holds the whole batch, as its length field
    /// says (see [`batch_bytes`]).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let base_offset = i64::from_be_bytes(array(bytes, 0));
        let batch_length = i32::from_be_bytes(array(bytes, 8));
        let magic = bytes[16] as i8;
        let mut header = Self {
            base_offset,
            batch_length,
            leader_epoch: -1,
            magic,
            crc: 0,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp_ms: -1,
            max_timestamp_ms: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 1,
        };
        let minimum = match magic {
            0 => PREFIX_BYTES + MIN_LENGTH_V0,
            1 => PREFIX_BYTES + MIN_LENGTH_V1,
            2 => HEADER_BYTES,
            _ => return Err(BatchProblem::Magic(magic).at(base_offset)),
        };
        if bytes.len() < minimum {
            return Err(BatchProblem::Length(batch_length).at(base_offset));
        }
        if base_offset < 0 {
            return Err(BatchProblem::Malformed("its offset is negative").at(base_offset));
        }
        if magic == 2 {
            header.leader_epoch = i32::from_be_bytes(array(bytes, 12));
            header.crc = u32::from_be_bytes(array(bytes, 17));
            header.attributes = i16::from_be_bytes(array(bytes, 21));
            header.last_offset_delta = i32::from_be_bytes(array(bytes, 23));
            header.base_timestamp_ms = i64::from_be_bytes(array(bytes, 27));
            header.max_timestamp_ms = i64::from_be_bytes(array(bytes, 35));
            header.producer_id = i64::from_be_bytes(array(bytes, 43));
            header.producer_epoch = i16::from_be_bytes(array(bytes, 51));
            header.base_sequence = i32::from_be_bytes(array(bytes, 53));
            header.record_count = i32::from_be_bytes(array(bytes, 57));
        } else {
            header.crc = u32::from_be_bytes(array(bytes, 12));
            header.attributes = i16::from(bytes[17]);
            if magic == 1 {
                header.base_timestamp_ms = i64::from_be_bytes(array(bytes, 18));
                header.max_timestamp_ms = header.base_timestamp_ms;
            }
            if header.attributes & CODEC_MASK != 0 {
                header.record_count = -1;
            }
        }
        // Going on at next_offset() must lead forward, or a reader would loop.
        if header.last_offset_delta < 0 || header.last_offset() == i64::MAX {
            return Err(BatchProblem::Malformed("its last offset is out of range").at(base_offset));
        }
        Ok(header)
    }
}

impl Header {
    /// Writes a header of magic 2.
    pub(super) fn write(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut rest = &mut out[..];
        rest.put_i64(self.base_offset);
        rest.put_i32(self.batch_length);
        rest.put_i32(self.leader_epoch);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp_ms);
        rest.put_i64(self.max_timestamp_ms);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.record_count);
        out
    }

    /// Writes the header of a batch that holds `body`: length and checksum are computed. Fails if that is too long.
    pub(super) fn sealed(mut self, body: &[u8]) -> Result<[u8; HEADER_BYTES], BatchProblem> {
        let length = i32::try_from(HEADER_BYTES - PREFIX_BYTES + body.len());
        self.batch_length = length.map_err(|_| BatchProblem::Overflow)?;
        let mut head = self.write();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CHECKED_FROM..]), body);
        head[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(head)
    }
}

/// Bytes of the batch that `data` starts with, or `None` if it is not there whole.
pub(super) fn batch_bytes(data: &[u8]) -> Result<Option<usize>, BatchError> {
    if data.len() < PREFIX_BYTES {
        return Ok(None);
    }
    let length = i32::from_be_bytes(array(data, 8));
    let bytes = usize::try_from(length).ok().filter(|length| *length >= MIN_LENGTH_V0);
    let bytes = bytes
        .ok_or_else(|| BatchProblem::Length(length).at(i64::from_be_bytes(array(data, 0))))?
        .saturating_add(PREFIX_BYTES);
    Ok((bytes <= data.len()).then_some(bytes))
}

/// `N` bytes from `at`; the caller has checked that they are there.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
