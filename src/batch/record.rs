//! The records of a batch of magic 2.

use bytes::Bytes;

use super::allowance::Allowance;
use super::cursor::Cursor;
use super::{BatchProblem, Header};

/// One record, sharing the memory of the batch it came from (or of its decompressed body).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's offset in its partition.
    pub offset: i64,
    /// Milliseconds since the epoch: the producer's time, or the broker's if the topic stamps on append; −1 when
    /// there is none.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order; the same key may occur more than once.
    pub headers: Vec<RecordHeader>,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The key as it is stored; clients write UTF-8, but nobody checks.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// Least bytes of a record: one each for length, attributes, timestamp, offset, key length, value length, headers.
const MIN_RECORD_BYTES: usize = 7;
/// Least bytes of a header: one each for key length and value length.
const MIN_HEADER_BYTES: usize = 2;

/// Reads the records of a decompressed body.
pub(super) fn read_all(
    header: &Header,
    body: Bytes,
    allowance: &mut Allowance,
) -> Result<Vec<Record>, BatchProblem> {
    let count = usize::try_from(header.record_count)
        .map_err(|_| BatchProblem::Malformed("its record count is negative"))?;
    if count > body.len() / MIN_RECORD_BYTES {
        return Err(BatchProblem::Malformed("its record count is more than its bytes can hold"));
    }
    allowance.take::<Record>(count)?;
    let mut cursor = Cursor::new(body);
    let mut records = Vec::with_capacity(count);
    let mut least_delta = 0;
    for _ in 0..count {
        let length = usize::try_from(cursor.varint()?)
            .map_err(|_| BatchProblem::Malformed("a record has a negative length"))?;
        let (delta, record) = read_one(header, cursor.take(length)?, allowance)?;
        if i64::from(delta) < least_delta || delta > header.last_offset_delta {
            return Err(BatchProblem::Malformed("its records' offsets don't rise within its range"));
        }
        least_delta = i64::from(delta) + 1;
        records.push(record);
    }
    if cursor.remaining() > 0 {
        return Err(BatchProblem::Malformed("bytes are left after its last record"));
    }
    Ok(records)
}

fn read_one(header: &Header, bytes: Bytes, allowance: &mut Allowance) -> Result<(i32, Record), BatchProblem> {
    let mut cursor = Cursor::new(bytes);
    // The record's own attributes have no meaning yet.
    cursor.u8()?;
    let timestamp_delta = cursor.varlong()?;
    let offset_delta = cursor.varint()?;
    let key_length = cursor.varint()?;
    let key = cursor.nullable(key_length)?;
    let value_length = cursor.varint()?;
    let value = cursor.nullable(value_length)?;
    let headers = read_headers(&mut cursor, allowance)?;
    if cursor.remaining() > 0 {
        return Err(BatchProblem::Malformed("a record is longer than what it holds"));
    }
    // Timestamps wrap as in Java, so that any two fit into one batch.
    let timestamp_ms = match header.is_append_time() {
        true => header.max_timestamp_ms,
        false => header.base_timestamp_ms.wrapping_add(timestamp_delta),
    };
    let offset = header.base_offset.saturating_add(i64::from(offset_delta));
    Ok((offset_delta, Record { offset, timestamp_ms, key, value, headers }))
}

fn read_headers(cursor: &mut Cursor, allowance: &mut Allowance) -> Result<Vec<RecordHeader>, BatchProblem> {
    let count = usize::try_from(cursor.varint()?)
        .map_err(|_| BatchProblem::Malformed("a record has a negative number of headers"))?;
    if count > cursor.remaining() / MIN_HEADER_BYTES {
        return Err(BatchProblem::Malformed("a record has more headers than its bytes can hold"));
    }
    allowance.take::<RecordHeader>(count)?;
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let key_length = cursor.varint()?;
        let key = cursor
            .nullable(key_length)?
            .ok_or(BatchProblem::Malformed("a header has a key of negative length"))?;
        let value_length = cursor.varint()?;
        headers.push(RecordHeader { key, value: cursor.nullable(value_length)? });
    }
    Ok(headers)
}
