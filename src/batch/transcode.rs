//! From the bytes of opened batches to those of new ones, record by record, without a list of their parts.

use bytes::Bytes;

use super::allowance::Allowance;
use super::cursor::{put_nullable, put_varint, put_varlong, varlong_bytes};
use super::header::HEADER_BYTES;
use super::record::{Frame, Frames};
use super::{BatchError, BatchProblem, Header, RawBatch, legacy};
use crate::model::Codec;

/// Bytes in front of an unfinished batch, where its header comes.
const ROOM: [u8; HEADER_BYTES] = [0; HEADER_BYTES];

/// A decompressed batch.
#[derive(Debug)]
pub(super) struct Opened {
    header: Header,
    body: Bytes,
    /// Magic 0 and 1: (offset, timestamp, end of its tail) of each record, whose tails `body` then holds.
    legacy: Option<Vec<(i64, i64, usize)>>,
}

impl Opened {
    /// Opens a batch, within `limit_bytes` of memory, the later list of its frames included.
    pub(super) fn open(batch: &RawBatch, limit_bytes: usize) -> Result<Self, BatchError> {
        let header = *batch.header();
        let codec = header.codec()?;
        let mut allowance = Allowance::new(limit_bytes);
        let opened = if header.magic < 2 {
            Self::open_legacy(batch, codec, &mut allowance)
        } else {
            batch.body(codec, &mut allowance).map(|body| Self { header, body, legacy: None })
        };
        let opened = opened.map_err(|problem| problem.at(header.base_offset))?;
        let frames = opened.count().and_then(|count| allowance.take::<Frame<'_>>(count));
        frames.map_err(|problem| problem.at(header.base_offset))?;
        Ok(opened)
    }

    /// Writes the old records' keys and values the new way, which puts them on a level with those of today.
    fn open_legacy(batch: &RawBatch, codec: Codec, allowance: &mut Allowance) -> Result<Self, BatchProblem> {
        let records = legacy::read_entry(batch.header(), batch.bytes(), codec, allowance)?;
        let mut tails = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            put_nullable(&mut tails, record.key.as_deref());
            put_nullable(&mut tails, record.value.as_deref());
            // No headers.
            put_varint(&mut tails, 0);
            places.push((record.offset, record.timestamp_ms, tails.len()));
        }
        Ok(Self { header: *batch.header(), body: tails.into(), legacy: Some(places) })
    }

    fn count(&self) -> Result<usize, BatchProblem> {
        match &self.legacy {
            Some(places) => Ok(places.len()),
            None => Ok(Frames::new(&self.header, &self.body)?.left()),
        }
    }

    /// Bytes of the records.
    pub(super) fn len_bytes(&self) -> usize {
        self.body.len()
    }

    /// Appends the records at `from_offset` and beyond. All records are checked; if one can't be read, nothing is
    /// appended.
    pub(super) fn list<'a>(&'a self, from_offset: i64, out: &mut Vec<Frame<'a>>) -> Result<(), BatchError> {
        let start = out.len();
        let listed = match &self.legacy {
            Some(places) => {
                self.list_legacy(places, from_offset, out);
                Ok(())
            }
            None => self.list_frames(from_offset, out),
        };
        listed.map_err(|problem| {
            out.truncate(start);
            problem.at(self.header.base_offset)
        })
    }

    fn list_frames<'a>(&'a self, from_offset: i64, out: &mut Vec<Frame<'a>>) -> Result<(), BatchProblem> {
        let frames = Frames::new(&self.header, &self.body)?;
        out.reserve(frames.left());
        for frame in frames {
            let frame = frame?;
            frame.check()?;
            if frame.offset >= from_offset {
                out.push(frame);
            }
        }
        Ok(())
    }

    fn list_legacy<'a>(&'a self, places: &[(i64, i64, usize)], from_offset: i64, out: &mut Vec<Frame<'a>>) {
        let mut start = 0;
        for &(offset, timestamp_ms, end) in places {
            if offset >= from_offset {
                out.push(Frame { attributes: 0, offset, timestamp_ms, tail: &self.body[start..end] });
            }
            start = end;
        }
    }
}

/// Bytes that a record takes, its length included, as the one with this index in a batch with this base timestamp.
pub(super) fn frame_bytes(frame: &Frame<'_>, base_timestamp_ms: i64, index: usize) -> usize {
    let content = content_bytes(frame, base_timestamp_ms, index);
    varlong_bytes(content as i64) + content
}

fn content_bytes(frame: &Frame<'_>, base_timestamp_ms: i64, index: usize) -> usize {
    let timestamp_delta = frame.timestamp_ms.wrapping_sub(base_timestamp_ms);
    1 + varlong_bytes(timestamp_delta) + varlong_bytes(index as i64) + frame.tail.len()
}

/// Writes one batch of these records, which follow one another without gaps, with base offset 0 and no producer.
///
/// `scratch` is a buffer that is kept for its memory. Fails if there is no record, or more than the format can hold.
pub(super) fn encode(
    frames: &[Frame<'_>],
    codec: Codec,
    scratch: &mut Vec<u8>,
) -> Result<RawBatch, BatchProblem> {
    let first = frames.first().ok_or(BatchProblem::Malformed("a batch needs a record"))?;
    let base_timestamp_ms = first.timestamp_ms;
    let mut max_timestamp_ms = base_timestamp_ms;
    let record_count = i32::try_from(frames.len()).map_err(|_| BatchProblem::Overflow)?;

    let mut out = Vec::new();
    let body = if codec == Codec::None { &mut out } else { &mut *scratch };
    body.clear();
    body.extend_from_slice(&ROOM);
    for (index, frame) in frames.iter().enumerate() {
        put_varlong(body, content_bytes(frame, base_timestamp_ms, index) as i64);
        body.push(frame.attributes);
        put_varlong(body, frame.timestamp_ms.wrapping_sub(base_timestamp_ms));
        put_varlong(body, index as i64);
        body.extend_from_slice(frame.tail);
        max_timestamp_ms = max_timestamp_ms.max(frame.timestamp_ms);
    }
    // Lengths inside the body are below that of the body: one check covers all.
    i32::try_from(body.len()).map_err(|_| BatchProblem::Overflow)?;
    if codec != Codec::None {
        let compressed = codec.compress(&scratch[HEADER_BYTES..])?;
        out.reserve_exact(HEADER_BYTES + compressed.len());
        out.extend_from_slice(&ROOM);
        out.extend_from_slice(&compressed);
    }

    let header = Header {
        base_offset: 0,
        batch_length: 0,
        leader_epoch: -1,
        magic: 2,
        crc: 0,
        attributes: i16::from(codec.number()),
        last_offset_delta: record_count - 1,
        base_timestamp_ms,
        max_timestamp_ms,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count,
    };
    let head = header.sealed(&out[HEADER_BYTES..])?;
    out[..HEADER_BYTES].copy_from_slice(&head);
    RawBatch::parse(out.into()).map_err(|error| error.problem)
}
