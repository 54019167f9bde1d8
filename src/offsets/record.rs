//! A stored chunk.
//!
//! Each record says all that a map needs to begin with it, so that it doesn't matter which records a crash kept from
//! being written: whatever was written up to some point makes a map as it was at about that point.

use uuid::Uuid;

use super::MapIdentity;
use super::chunks::check;
use super::interval::OffsetPair;
use super::kept_pairs::MOST_KEPT_PAIRS;
use super::varint::{RECORD, VarintReader, put};
use crate::formats::FormatError;
use crate::model::{TopicId, TopicName};

/// The version of a map that has forgotten nothing.
const WHOLE: u8 = 1;
/// The version with kept pairs, the newest that this program reads.
const WITH_KEPT_PAIRS: u8 = 2;

/// A stored chunk, and the map's state when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkRecord<'a> {
    /// Raised whenever stored chunks become void: those with a higher number than the newest of the highest incarnation,
    /// and those with a lower one than its `first_chunk`.
    pub incarnation: u64,
    /// Number of the map's oldest chunk.
    pub first_chunk: u64,
    pub identity: MapIdentity,
    /// Where the map began before it was trimmed.
    pub origin: OffsetPair,
    /// Where it begins.
    pub begin: OffsetPair,
    /// Pairs between both that rise on both sides.
    pub kept_pairs: Vec<OffsetPair>,
    /// Where mirroring goes on.
    pub next: OffsetPair,
    pub intervals: u64,
    /// Where the first interval starts; `begin` if there is none.
    pub base: OffsetPair,
    pub encoded: &'a [u8],
}

impl<'a> ChunkRecord<'a> {
    /// The record's value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let name = self.identity.remote_topic.as_str();
        let mut out = Vec::with_capacity(128 + name.len() + self.encoded.len());
        out.push(if self.kept_pairs.is_empty() { WHOLE } else { WITH_KEPT_PAIRS });
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
        if !self.kept_pairs.is_empty() {
            self.put_kept_pairs(&mut out);
        }
        put(&mut out, self.intervals);
        out.extend_from_slice(self.encoded);
        out
    }

    /// Appends how many there are, and of each how far it lies above the one before, or the origin, on both sides.
    fn put_kept_pairs(&self, out: &mut Vec<u8>) {
        put(out, self.kept_pairs.len() as u64);
        let mut after = self.origin;
        for pair in &self.kept_pairs {
            put(out, pair.source.abs_diff(after.source));
            put(out, pair.target.abs_diff(after.target));
            after = *pair;
        }
    }

    /// Reads a value. Says also where the last interval ends.
    ///
    /// Fails if a newer program wrote it, if it can't be read, or if its offsets don't rise.
    pub(super) fn decode(value: &'a [u8]) -> Result<(Self, OffsetPair), FormatError> {
        let mut bytes = VarintReader::new(value);
        let [version] = bytes.array("version")?;
        if version != WHOLE && version != WITH_KEPT_PAIRS {
            let (version, known) = (version.into(), WITH_KEPT_PAIRS.into());
            return Err(FormatError::Version { record: RECORD, version, known });
        }
        let incarnation = bytes.varint("incarnation")?;
        let first_chunk = bytes.offset("first_chunk")?.unsigned_abs();
        let source_topic_id = TopicId(Uuid::from_bytes(bytes.array("source_topic_id")?));
        let target_topic_id = TopicId(Uuid::from_bytes(bytes.array("target_topic_id")?));
        let name_bytes = bytes.varint("remote_topic")?;
        let name = std::str::from_utf8(bytes.bytes("remote_topic", name_bytes)?)
            .map_err(|_| FormatError::NotText { record: RECORD, field: "remote_topic" })?;
        let mut pair = |field| {
            Ok::<_, FormatError>(OffsetPair { source: bytes.offset(field)?, target: bytes.offset(field)? })
        };
        let (origin, begin, next, base) = (pair("origin")?, pair("begin")?, pair("next")?, pair("base")?);
        let kept_pairs =
            if version == WHOLE { Vec::new() } else { read_kept_pairs(origin, begin, &mut bytes)? };
        let intervals = bytes.varint("intervals")?;
        let record = Self {
            incarnation,
            first_chunk,
            identity: MapIdentity { source_topic_id, remote_topic: TopicName::from(name), target_topic_id },
            origin,
            begin,
            kept_pairs,
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

/// Reads what [`ChunkRecord::put_kept_pairs`] wrote.
fn read_kept_pairs(
    origin: OffsetPair,
    begin: OffsetPair,
    bytes: &mut VarintReader<'_>,
) -> Result<Vec<OffsetPair>, FormatError> {
    let count = bytes.varint("kept pairs")?;
    if count > MOST_KEPT_PAIRS as u64 {
        return Err(bytes.damaged("it keeps more pairs than are ever kept"));
    }
    let mut kept_pairs = Vec::new();
    let mut after = origin;
    for _ in 0..count {
        let (source, target) = (bytes.varint("kept pair")?, bytes.varint("kept pair")?);
        let pair = after.source.checked_add_unsigned(source).zip(after.target.checked_add_unsigned(target));
        let pair = pair.map(|(source, target)| OffsetPair { source, target });
        let Some(pair) = pair.filter(|pair| pair.is_within(begin)) else {
            return Err(bytes.damaged("a kept pair lies behind the begin"));
        };
        kept_pairs.push(pair);
        after = pair;
    }
    Ok(kept_pairs)
}
