//! What can be wrong with an internal record.

use thiserror::Error;

/// A record that can't be read or written. `record` says which kind: `heartbeat`, `checkpoint`, …
#[derive(Debug, Error)]
pub enum FormatError {
    /// The record has no key.
    #[error("a {record} record has no key")]
    NullKey {
        /// Its kind.
        record: &'static str,
    },
    /// The record has no value; MirrorMaker 2's topics know no tombstones.
    #[error("a {record} record has no value")]
    NullValue {
        /// Its kind.
        record: &'static str,
    },
    /// The bytes end within a field.
    #[error("a {record} record ends within its field {field}")]
    Short {
        /// Its kind.
        record: &'static str,
        /// The field, by the name in Kafka's schema.
        field: &'static str,
    },
    /// A field's text is not UTF-8, or has a negative length.
    #[error("field {field} of a {record} record is not text")]
    NotText {
        /// Its kind.
        record: &'static str,
        /// The field, by the name in Kafka's schema.
        field: &'static str,
    },
    /// A field's text is longer than the format can hold.
    #[error("field {field} of a {record} record has {bytes} bytes; at most 32767 can be stored")]
    TooLong {
        /// Its kind.
        record: &'static str,
        /// The field, by the name in Kafka's schema.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A version that this program doesn't know.
    #[error(
        "a {record} record has version {version}, but this program knows only version {known}: \
         a newer program wrote it; upgrade this one"
    )]
    Version {
        /// Its kind.
        record: &'static str,
        /// The version found.
        version: i64,
        /// The version known.
        known: i64,
    },
    /// The record's key or value is not the JSON that it should be.
    #[error("the {part} of a {record} record can't be read: {source}")]
    Json {
        /// Its kind.
        record: &'static str,
        /// `key` or `value`.
        part: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The record can be read, but contradicts itself.
    #[error("a {record} record is damaged: {detail}")]
    Damaged {
        /// Its kind.
        record: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
}
