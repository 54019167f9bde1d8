//! How our own JSON records are written and read: the version first.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;

/// The version that this program writes and reads.
pub(super) const VERSION: i64 = 1;

/// Puts the version first.
#[derive(Serialize)]
pub(super) struct Versioned<'a, T> {
    pub(super) v: i64,
    #[serde(flatten)]
    pub(super) body: &'a T,
}

/// The version alone, which is looked at before all else.
#[derive(Deserialize)]
struct Version {
    v: i64,
}

/// Reads a value, and refuses all but our version.
pub(super) fn versioned<T: DeserializeOwned>(record: &'static str, value: &[u8]) -> Result<T, FormatError> {
    match parse::<Version>(record, "value", value)?.v {
        VERSION => parse(record, "value", value),
        version => Err(FormatError::Version { record, version, known: VERSION }),
    }
}

/// Reads a part of a record.
pub(super) fn parse<T: DeserializeOwned>(
    record: &'static str,
    part: &'static str,
    bytes: &[u8],
) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|source| FormatError::Json { record, part, source })
}

/// Writes a part of a record.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts, numbers, lists and flat structs always have a JSON form")
}
