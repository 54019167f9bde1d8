//! Reading and writing the numbers inside a batch.

use super::BatchProblem;

const SHORT: BatchProblem = BatchProblem::Malformed("a record ends beyond the bytes that hold it");
const LONG_VARINT: BatchProblem = BatchProblem::Malformed("a number is longer than its type");

/// Reads from bytes; what it hands out are parts of them.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BatchProblem> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `length` bytes, or `None` for a negative length, as Kafka reads it.
    pub(super) fn nullable(&mut self, length: i32) -> Result<Option<&'a [u8]>, BatchProblem> {
        usize::try_from(length).ok().map(|length| self.take(length)).transpose()
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Result<u8, BatchProblem> {
        let (byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*byte)
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
        let (array, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*array)
    }
}

/// Bytes that a zigzag number takes.
pub(super) fn varlong_bytes(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends a zigzag number.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// Appends a zigzag number.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Appends bytes behind their length; −1 stands for none.
pub(super) fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}
