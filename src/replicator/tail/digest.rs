//! What of a record is compared.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A record's offset, timestamp and the hash of all that a mirror must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordDigest {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since the epoch; not part of `content`, because clients and topics change it.
    pub timestamp_ms: i64,
    /// 128-bit hash (XXH3) of key, value and headers.
    pub content: u128,
    /// 64-bit hash of the key; `None` for a record without one.
    pub key: Option<u64>,
}

impl RecordDigest {
    /// Digests a record. Null differs from empty, and headers count with their order and repetitions.
    pub fn of<'a>(
        offset: i64,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Self {
        let mut hash = Xxh3::new();
        field(&mut hash, key);
        field(&mut hash, value);
        for (name, value) in headers {
            field(&mut hash, Some(name));
            field(&mut hash, value);
        }
        Self { offset, timestamp_ms, content: hash.digest128(), key: key.map(xxh3_64) }
    }
}

/// Adds one field so that no two sequences of fields give the same bytes: a tag, and the length before the bytes.
fn field(hash: &mut Xxh3, bytes: Option<&[u8]>) {
    match bytes {
        None => hash.update(&[0]),
        Some(bytes) => {
            hash.update(&[1]);
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
}
