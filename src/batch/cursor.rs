//! Reading and writing the numbers inside a batch.

use bytes::Bytes;

use super::BatchProblem;

const SHORT: BatchProblem = BatchProblem::Malformed("a record ends beyond the bytes that hold it");
const LONG_VARINT: BatchProblem = BatchProblem::Malformed("a number is longer than its type");

/// Reads from shared bytes; what it hands out shares them too.
#[derive(Debug)]
pub(super) struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    /// A cursor at the start.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<Bytes, BatchProblem> {
        if count > self.remaining() {
            return Err(SHORT);
        }
        let taken = self.bytes.slice(self.at..self.at + count);
        self.at += count;
        Ok(taken)
    }

    /// The next `length` bytes, or `None` for a negative length, as Kafka reads it.
    pub(super) fn nullable(&mut self, length: i32) -> Result<Option<Bytes>, BatchProblem> {
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Result<u8, BatchProblem> {
        let byte = *self.bytes.get(self.at).ok_or(SHORT)?;
        self.at += 1;
        Ok(byte)
    }

    /// Four bytes, big endian.
    pub(super) fn i32(&mut self) -> Result<i32, BatchProblem> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Two bytes, big endian.
    pub(super) fn i16(&mut self) -> Result<i16, BatchProblem> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A zigzag number of at most five bytes.
    pub(super) fn varint(&mut self) -> Result<i32, BatchProblem> {
        // Five bytes carry 35 bits; Java drops those above 32.
        let raw = self.unsigned(5)? as u32;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag number of at most ten bytes.
    pub(super) fn varlong(&mut self) -> Result<i64, BatchProblem> {
        let raw = self.unsigned(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    fn unsigned(&mut self, max_bytes: u32) -> Result<u64, BatchProblem> {
        let mut value = 0;
        for index in 0..max_bytes {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << (index * 7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(LONG_VARINT)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BatchProblem> {
        let end = self.at.checked_add(N).ok_or(SHORT)?;
        let slice = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        slice.try_into().map_err(|_| SHORT)
    }
}

/// Appends a zigzag number.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// Appends a zigzag number.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
