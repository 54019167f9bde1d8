//! Kafka's schema primitives, as MirrorMaker 2's records use them: big endian, text behind an `int16` length.

use super::FormatError;

/// Reads the fields of one key or value. Bytes after the last field are ignored, as Java's readers do.
pub(super) struct Fields<'a> {
    record: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at a record's key.
    pub(super) fn of_key(record: &'static str, key: Option<&'a [u8]>) -> Result<Self, FormatError> {
        Ok(Self { record, rest: key.ok_or(FormatError::NullKey { record })? })
    }

    /// Starts at a record's value.
    pub(super) fn of_value(record: &'static str, value: Option<&'a [u8]>) -> Result<Self, FormatError> {
        Ok(Self { record, rest: value.ok_or(FormatError::NullValue { record })? })
    }

    /// Reads the version, and refuses all but 0.
    pub(super) fn version_0(&mut self) -> Result<(), FormatError> {
        match i16::from_be_bytes(self.array("version")?) {
            0 => Ok(()),
            version => Err(FormatError::Version { record: self.record, version: version.into(), known: 0 }),
        }
    }

    /// Reads an `int32`.
    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, FormatError> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    /// Reads an `int64`.
    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, FormatError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    /// Reads a text.
    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, FormatError> {
        let not_text = FormatError::NotText { record: self.record, field };
        let Ok(length) = usize::try_from(i16::from_be_bytes(self.array(field)?)) else {
            return Err(not_text);
        };
        let short = FormatError::Short { record: self.record, field };
        let (text, rest) = self.rest.split_at_checked(length).ok_or(short)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| not_text)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let short = FormatError::Short { record: self.record, field };
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*head)
    }
}

/// Appends a text; fails if it is longer than its `int16` length can say.
pub(super) fn put_text(
    out: &mut Vec<u8>,
    record: &'static str,
    field: &'static str,
    text: &str,
) -> Result<(), FormatError> {
    let length =
        i16::try_from(text.len()).map_err(|_| FormatError::TooLong { record, field, bytes: text.len() })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
