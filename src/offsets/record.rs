//! A stored chunk.
//!
//! Each record says all that a map needs to begin with it, so that it doesn't matter which records a crash kept from
//! being written: whatever was written up to some point makes a map as it was at about that point.

use uuid::Uuid;

use super::MapIdentity;
use super::chunks::check;
use super::interval::Pair;
use super::varint::{RECORD, Reader, put};
use crate::formats::FormatError;
use crate::model::{TopicId, TopicName};

/// The version that this program writes and reads.
const VERSION: u8 = 1;

/// A stored chunk, and the map's state when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Raised whenever stored chunks become void: those with a higher number than the newest of the highest incarnation,
    /// and those with a lower one than its `first_chunk`.
    pub incarnation: u64,
    /// Number of the map's oldest chunk.
    pub first_chunk: u64,
    pub identity: MapIdentity,
    /// Where the map began before it was trimmed.
    pub origin: Pair,
    /// Where it begins.
    pub begin: Pair,
    /// Where mirroring goes on.
    pub next: Pair,
    pub intervals: u64,
    /// Where the first interval starts; `begin` if there is none.
    pub base: Pair,
    pub encoded: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.identity.remote_topic.as_str();
        let mut out = Vec::with_capacity(128 + name.len() + self.encoded.len());
        out.push(VERSION);
        put(&mut out, self.incarnation);
        put(&mut out, self.first_chunk);
        out.extend_from_slice(self.identity.source_topic_id.0.as_bytes());
        out.extend_from_slice(self.identity.target_topic_id.0.as_bytes());
        put(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        for pair in [self.origin, self.begin, self.next, self.base] {
            put(&mut out, pair.source.unsigned_abs());
            put(&mut out, pair.target.unsigned_abs());
        }
        put(&mut out, self.intervals);
        out.extend_from_slice(self.encoded);
        out
    }

    /// Reads a value. Says also where the last interval ends.
    ///
    /// Fails if a newer program wrote it, if it can't be read, or if its offsets don't rise.
    pub fn decode(value: &'a [u8]) -> Result<(Self, Pair), FormatError> {
        let mut bytes = Reader::new(value);
        let [version] = bytes.array("version")?;
        if version != VERSION {
            let (version, known) = (version.into(), VERSION.into());
            return Err(FormatError::Version { record: RECORD, version, known });
        }
        let incarnation = bytes.varint("incarnation")?;
        let first_chunk = bytes.offset("first_chunk")?.unsigned_abs();
        let source_topic_id = TopicId(Uuid::from_bytes(bytes.array("source_topic_id")?));
        let target_topic_id = TopicId(Uuid::from_bytes(bytes.array("target_topic_id")?));
        let name_bytes = bytes.varint("remote_topic")?;
        let name = std::str::from_utf8(bytes.bytes("remote_topic", name_bytes)?)
            .map_err(|_| FormatError::NotText { record: RECORD, field: "remote_topic" })?;
        let mut pair =
            |field| Ok::<_, FormatError>(Pair { source: bytes.offset(field)?, target: bytes.offset(field)? });
        let (origin, begin, next, base) = (pair("origin")?, pair("begin")?, pair("next")?, pair("base")?);
        let intervals = bytes.varint("intervals")?;
        let record = Self {
            incarnation,
            first_chunk,
            identity: MapIdentity { source_topic_id, remote_topic: TopicName::from(name), target_topic_id },
            origin,
            begin,
            next,
            intervals,
            base,
            encoded: bytes.rest(),
        };
        let end = check(base, record.encoded, intervals)?;
        let rising = origin.is_within(begin) && begin.is_within(base) && end.is_within(next);
        if rising { Ok((record, end)) } else { Err(bytes.damaged("its offsets don't rise")) }
    }
}
