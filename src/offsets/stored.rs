//! The map as records of a compacted topic.

use std::collections::VecDeque;

use bytes::Bytes;

use super::budget::MapAccount;
use super::changes::{Changes, ChunkChange};
use super::chunks::{Chunks, Encoded, Sealed, encode};
use super::interval::{Interval, OffsetPair};
use super::kept_pairs::KeptPairs;
use super::map::OffsetMap;
use super::record::ChunkRecord;
use super::varint::{RECORD, VarintReader};
use crate::formats::FormatError;

impl OffsetMap {
    /// What is to be stored to make the topic say what the map says; nothing if it does.
    ///
    /// Store it in this order, before any position that lies behind it; then say how that went by
    /// [`changes_saved`](Self::changes_saved) or [`changes_failed`](Self::changes_failed). Whatever part of it is
    /// stored, the map can be loaded. Chunks of another map, or that a crash left behind, are among the removals.
    pub fn take_changes(&mut self) -> Vec<ChunkChange> {
        let numbers = self.changes.take();
        let mut removals = Vec::new();
        let mut changes = Vec::with_capacity(numbers.len());
        for chunk in numbers {
            match self.value(chunk) {
                Some(value) => changes.push(ChunkChange::Write { chunk, value }),
                None => removals.push(ChunkChange::Remove { chunk }),
            }
        }
        changes.append(&mut removals);
        changes
    }

    /// What was taken is durable.
    pub fn changes_saved(&mut self) {
        self.changes.saved();
    }

    /// What was taken is not durable, or nobody knows: it will be taken again.
    pub fn changes_failed(&mut self) {
        self.changes.failed();
    }

    /// Reads a map from the values of its chunks, by their numbers, in any order.
    ///
    /// It counts towards no budget yet. Chunks that a crash kept from being removed are recognised, and removed with
    /// the next changes. Fails if there is no chunk, if one can't be read, or if they contradict each other.
    pub fn load(chunks: impl IntoIterator<Item = (u64, Bytes)>) -> Result<Self, FormatError> {
        let mut values: Vec<(u64, Bytes)> = chunks.into_iter().collect();
        values.sort_unstable_by_key(|(number, _)| *number);
        let mut stored = Vec::with_capacity(values.len());
        for (number, value) in &values {
            let (record, end) = ChunkRecord::decode(value)?;
            stored.push((*number, record, end));
        }
        let newest = stored.iter().max_by_key(|(number, record, _)| (record.incarnation, *number));
        let damaged = |detail| FormatError::Damaged { record: RECORD, detail };
        let Some((open_number, newest, _)) = newest else {
            return Err(damaged("there is no chunk of it"));
        };
        if *open_number < newest.first_chunk || i64::try_from(*open_number).is_err() {
            return Err(damaged("its newest chunk has an impossible number"));
        }
        let mut changes = Changes::default();
        let mut sealed = VecDeque::with_capacity(stored.len());
        let mut limit = newest.base;
        for (number, record, end) in stored.iter().rev() {
            let void = number > open_number || *number < newest.first_chunk;
            if number == open_number {
                continue;
            }
            if void {
                changes.add(*number);
                continue;
            }
            if record.intervals == 0 || !end.is_within(limit) || !newest.begin.is_within(record.base) {
                return Err(damaged("its chunks contradict each other"));
            }
            limit = record.base;
            sealed.push_front(Sealed {
                number: *number,
                base: record.base,
                next: *end,
                intervals: record.intervals,
                encoded: record.encoded.into(),
            });
        }
        let open = Encoded { after: newest.base, bytes: VarintReader::new(newest.encoded) }.collect();
        Ok(Self {
            identity: newest.identity.clone(),
            incarnation: newest.incarnation,
            origin: newest.origin,
            begin: newest.begin,
            kept_pairs: KeptPairs::stored(newest.kept_pairs.clone()),
            next: newest.next,
            chunks: Chunks::stored(sealed, *open_number, open),
            changes,
            account: MapAccount::default(),
            shed_intervals: 0,
        })
    }

    /// The value of a chunk, if the map has it.
    fn value(&self, number: u64) -> Option<Vec<u8>> {
        if number == self.chunks.open_number() {
            let open = self.chunks.open();
            let base = open.first().map_or(self.begin, Interval::base);
            return Some(self.record(open.len() as u64, base, &encode(open)));
        }
        let chunk = self.chunks.sealed(number)?;
        Some(self.record(chunk.intervals, chunk.base, &chunk.encoded))
    }

    fn record(&self, intervals: u64, base: OffsetPair, encoded: &[u8]) -> Vec<u8> {
        ChunkRecord {
            incarnation: self.incarnation,
            first_chunk: self.chunks.first_number(),
            identity: self.identity.clone(),
            origin: self.origin,
            begin: self.begin,
            kept_pairs: self.kept_pairs.as_slice().to_vec(),
            next: self.next,
            intervals,
            base,
            encoded,
        }
        .encode()
    }
}
