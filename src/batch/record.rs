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

/// One record, of which only what stands before its key is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The record's own attributes, which have no meaning yet.
    pub(super) attributes: u8,
    /// The record's offset in its partition.
    pub(super) offset: i64,
    /// As in [`Record`].
    pub(super) timestamp_ms: i64,
    /// Key, value and headers as they are stored: none of them depends on the batch.
    pub(super) tail: &'a [u8],
}

/// Walks the records of a decompressed body. The first error ends the walk.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    header: &'a Header,
    cursor: Cursor<'a>,
    left: usize,
    least_delta: i64,
}

impl<'a> Frames<'a> {
    /// A walk of the records of `body`. Fails if there can't be as many as the header says.
    pub(super) fn new(header: &'a Header, body: &'a [u8]) -> Result<Self, BatchProblem> {
        let left = usize::try_from(header.record_count)
            .map_err(|_| BatchProblem::Malformed("its record count is negative"))?;
        if left > body.len() / MIN_RECORD_BYTES {
            return Err(BatchProblem::Malformed("its record count is more than its bytes can hold"));
        }
        Ok(Self { header, cursor: Cursor::new(body), left, least_delta: 0 })
    }

    /// Records that are still to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    fn read(&mut self) -> Result<Frame<'a>, BatchProblem> {
        let length = usize::try_from(self.cursor.varint()?)
            .map_err(|_| BatchProblem::Malformed("a record has a negative length"))?;
        let mut cursor = Cursor::new(self.cursor.take(length)?);
        let attributes = cursor.u8()?;
        let timestamp_delta = cursor.varlong()?;
        let offset_delta = cursor.varint()?;
        if i64::from(offset_delta) < self.least_delta || offset_delta > self.header.last_offset_delta {
            return Err(BatchProblem::Malformed("its records' offsets don't rise within its range"));
        }
        self.least_delta = i64::from(offset_delta) + 1;
        if self.left == 1 && !self.cursor.rest().is_empty() {
            return Err(BatchProblem::Malformed("bytes are left after its last record"));
        }
        Ok(Frame {
            attributes,
            offset: self.header.base_offset.saturating_add(i64::from(offset_delta)),
            // Timestamps wrap as in Java, so that any two fit into one batch.
            timestamp_ms: match self.header.is_append_time() {
                true => self.header.max_timestamp_ms,
                false => self.header.base_timestamp_ms.wrapping_add(timestamp_delta),
            },
            tail: cursor.rest(),
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, BatchProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let frame = self.read();
        self.left = if frame.is_ok() { self.left - 1 } else { 0 };
        Some(frame)
    }
}

/// Reads the records of a decompressed body.
pub(super) fn read_all(
    header: &Header,
    body: &Bytes,
    allowance: &mut Allowance,
) -> Result<Vec<Record>, BatchProblem> {
    let frames = Frames::new(header, body)?;
    allowance.take::<Record>(frames.left())?;
    let mut records = Vec::with_capacity(frames.left());
    for frame in frames {
        records.push(read_one(&frame?, body, allowance)?);
    }
    Ok(records)
}

fn read_one(frame: &Frame<'_>, body: &Bytes, allowance: &mut Allowance) -> Result<Record, BatchProblem> {
    let mut cursor = Cursor::new(frame.tail);
    let key = sized(&mut cursor)?.map(|key| body.slice_ref(key));
    let value = sized(&mut cursor)?.map(|value| body.slice_ref(value));
    let count = header_count(&mut cursor)?;
    allowance.take::<RecordHeader>(count)?;
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, value) = read_header(&mut cursor)?;
        headers
            .push(RecordHeader { key: body.slice_ref(key), value: value.map(|value| body.slice_ref(value)) });
    }
    ended(&cursor)?;
    Ok(Record { offset: frame.offset, timestamp_ms: frame.timestamp_ms, key, value, headers })
}

impl Frame<'_> {
    /// Fails where reading the whole record would.
    pub(super) fn check(&self) -> Result<(), BatchProblem> {
        let mut cursor = Cursor::new(self.tail);
        sized(&mut cursor)?;
        sized(&mut cursor)?;
        for _ in 0..header_count(&mut cursor)? {
            read_header(&mut cursor)?;
        }
        ended(&cursor)
    }
}

/// Bytes behind their own length.
fn sized<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, BatchProblem> {
    let length = cursor.varint()?;
    cursor.nullable(length)
}

fn header_count(cursor: &mut Cursor<'_>) -> Result<usize, BatchProblem> {
    let count = usize::try_from(cursor.varint()?)
        .map_err(|_| BatchProblem::Malformed("a record has a negative number of headers"))?;
    if count > cursor.rest().len() / MIN_HEADER_BYTES {
        return Err(BatchProblem::Malformed("a record has more headers than its bytes can hold"));
    }
    Ok(count)
}

fn read_header<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), BatchProblem> {
    let key = sized(cursor)?.ok_or(BatchProblem::Malformed("a header has a key of negative length"))?;
    Ok((key, sized(cursor)?))
}

fn ended(cursor: &Cursor<'_>) -> Result<(), BatchProblem> {
    match cursor.rest() {
        [] => Ok(()),
        _ => Err(BatchProblem::Malformed("a record is longer than what it holds")),
    }
}
