//! Numbers of few bytes: seven bits each, the lowest first, the top bit says that more follow.

use crate::formats::FormatError;

/// How errors name what is read here.
pub(super) const RECORD: &str = "map";

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads numbers and bytes.
#[derive(Clone, Debug)]
pub(super) struct VarintReader<'a> {
    rest: &'a [u8],
}

impl<'a> VarintReader<'a> {
    /// Starts at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads a number. Fails if the bytes end or it has more than 64 bits.
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array(field)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.damaged("a number has more than 64 bits"))
    }

    /// Reads an offset, or a number that is counted on. Fails if it is above what Kafka can say.
    pub(super) fn offset(&mut self, field: &'static str) -> Result<i64, FormatError> {
        let offset = self.varint(field)?;
        i64::try_from(offset).map_err(|_| self.damaged("an offset is out of range"))
    }

    /// Reads so many bytes.
    pub(super) fn bytes(&mut self, field: &'static str, count: u64) -> Result<&'a [u8], FormatError> {
        let short = FormatError::Short { record: RECORD, field };
        let Some((bytes, rest)) =
            usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count))
        else {
            return Err(short);
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let short = FormatError::Short { record: RECORD, field };
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The error for bytes that can be read and make no sense.
    pub(super) fn damaged(&self, detail: &'static str) -> FormatError {
        FormatError::Damaged { record: RECORD, detail }
    }
}
