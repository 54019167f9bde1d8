//! Message sets of magic 0 and 1, which logs from before Kafka 0.11 still hold.
//!
//! An entry is one message. If it is compressed, its value is a message set of its own: offsets inside are absolute
//! in magic 0, and count from 0 in magic 1, where the outer message has the offset of the last (KIP-31, KIP-32).

use bytes::Bytes;

use super::allowance::Allowance;
use super::cursor::Cursor;
use super::header::{CODEC_MASK, PREFIX_BYTES, batch_bytes};
use super::{BatchProblem, Header, Record};
use crate::model::Codec;

/// The part of a message before its key: offset, length, checksum, magic, attributes.
const FIXED_BYTES: usize = PREFIX_BYTES + 6;

/// Reads the message, or those inside it.
pub(super) fn read_entry(
    header: &Header,
    bytes: &Bytes,
    codec: Codec,
    allowance: &mut Allowance,
) -> Result<Vec<Record>, BatchProblem> {
    if codec == Codec::None {
        allowance.take::<Record>(1)?;
        return Ok(vec![read_message(header, bytes)?]);
    }
    let wrapped = read_message(header, bytes)?
        .value
        .ok_or(BatchProblem::Malformed("it is compressed, yet has no value"))?;
    let mut rest = Bytes::from(codec.decompress(header.magic, &wrapped, allowance)?);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let inner = batch_bytes(&rest).map_err(|error| error.problem)?;
        let length = inner.ok_or(BatchProblem::Malformed("a message inside it is cut short"))?;
        let message = rest.split_to(length);
        let inner = Header::read(&message).map_err(|error| error.problem)?;
        if inner.magic != header.magic || inner.attributes & CODEC_MASK != 0 {
            return Err(BatchProblem::Malformed(
                "a message inside it is of another format, or compressed again",
            ));
        }
        allowance.take::<Record>(1)?;
        let mut record = read_message(&inner, &message)?;
        if header.is_append_time() {
            record.timestamp_ms = header.max_timestamp_ms;
        }
        records.push(record);
    }
    place(header, &mut records)?;
    Ok(records)
}

/// Makes the offsets inside absolute, and checks that they rise up to the entry's own.
fn place(header: &Header, records: &mut [Record]) -> Result<(), BatchProblem> {
    let last =
        records.last().ok_or(BatchProblem::Malformed("it is compressed, yet holds no message"))?.offset;
    // Some versions of librdkafka left the outer offset 0: the inner ones count then, as in Kafka's reader.
    if header.magic == 1 && header.base_offset > 0 {
        let base = header
            .base_offset
            .checked_sub(last)
            .filter(|base| *base >= 0)
            .ok_or(BatchProblem::Malformed("offsets inside it go beyond its own"))?;
        for record in records.iter_mut() {
            record.offset = record.offset.saturating_add(base);
        }
    }
    if records.is_sorted_by(|a, b| a.offset < b.offset) {
        Ok(())
    } else {
        Err(BatchProblem::Malformed("its records' offsets don't rise within its range"))
    }
}

fn read_message(header: &Header, bytes: &Bytes) -> Result<Record, BatchProblem> {
    let timestamp_bytes = if header.magic >= 1 { size_of::<i64>() } else { 0 };
    let mut cursor = Cursor::new(bytes);
    cursor.take(FIXED_BYTES + timestamp_bytes)?;
    let key_length = cursor.i32()?;
    let key = cursor.nullable(key_length)?;
    let value_length = cursor.i32()?;
    let value = cursor.nullable(value_length)?;
    if !cursor.rest().is_empty() {
        return Err(BatchProblem::Malformed("a message is longer than what it holds"));
    }
    Ok(Record {
        offset: header.base_offset,
        timestamp_ms: header.base_timestamp_ms,
        key: key.map(|key| bytes.slice_ref(key)),
        value: value.map(|value| bytes.slice_ref(value)),
        headers: Vec::new(),
    })
}
