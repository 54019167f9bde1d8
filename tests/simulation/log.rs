//! A partition's log as a broker keeps it: offsets, epochs, and what retention, compaction and elections do to them.

use std::collections::HashMap;

use mirrormesh::model::{EpochEnd, TopicId};
use mirrormesh::replicator::tail::RecordDigest;
use uuid::Uuid;

/// A record; `id` is unique in a run and rises with the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: u64,
    pub key: u64,
    pub foreign: bool,
}

impl Record {
    fn digest(&self, offset: i64) -> RecordDigest {
        let (key, value) = (self.key.to_be_bytes(), self.id.to_be_bytes());
        let ours: &[u8] = b"source";
        let header = if self.foreign { None } else { Some((ours, None)) };
        RecordDigest::of(offset, self.id as i64, Some(&key), Some(&value), header.into_iter())
    }
}

/// What lies at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub offset: i64,
    /// `None` for markers and aborted records.
    pub record: Option<Record>,
    /// Removed by retention or compaction, kept here for the checks.
    pub expired: bool,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub topic_id: TopicId,
    pub incarnation: u64,
    pub entries: Vec<Entry>,
    pub start: i64,
    pub end: i64,
    pub epoch: i32,
    epochs: Vec<(i32, i64)>,
}

impl Log {
    pub fn new(incarnation: u64) -> Self {
        Self {
            topic_id: TopicId(Uuid::from_u128(u128::from(incarnation) + 1)),
            incarnation,
            entries: Vec::new(),
            start: 0,
            end: 0,
            epoch: 0,
            epochs: vec![(0, 0)],
        }
    }

    pub fn append(&mut self, record: Option<Record>) -> i64 {
        let offset = self.end;
        self.entries.push(Entry { offset, record, expired: false });
        self.end += 1;
        offset
    }

    /// A new leader, with all that the old one had.
    pub fn elect(&mut self) {
        self.epoch += 1;
        self.epochs.retain(|&(_, start)| start < self.end);
        self.epochs.push((self.epoch, self.end));
    }

    /// A new leader that has less.
    pub fn truncate(&mut self, to: i64) -> Vec<Entry> {
        let to = to.clamp(self.start, self.end);
        let kept = self.entries.partition_point(|entry| entry.offset < to);
        let gone = self.entries.split_off(kept);
        self.end = to;
        self.epochs.retain(|&(_, start)| start < to);
        self.elect();
        gone
    }

    pub fn retain_from(&mut self, start: i64) -> Vec<Entry> {
        let start = start.clamp(self.start, self.end);
        let mut gone = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.offset < start && !entry.expired) {
            entry.expired = true;
            gone.push(*entry);
        }
        self.start = start;
        let floor = self.epochs.iter().rposition(|&(_, from)| from <= start).unwrap_or(0);
        self.epochs.drain(..floor);
        if let Some(first) = self.epochs.first_mut() {
            first.1 = first.1.max(start);
        }
        gone
    }

    /// Removes records whose key comes again before `to`.
    pub fn compact(&mut self, to: i64) -> Vec<Entry> {
        let live = |entry: &&Entry| entry.offset < to && !entry.expired;
        let last: HashMap<u64, i64> = self
            .entries
            .iter()
            .filter(live)
            .filter_map(|entry| Some((entry.record?.key, entry.offset)))
            .collect();
        let mut gone = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.offset < to && !entry.expired) {
            if entry.record.is_some_and(|record| last[&record.key] != entry.offset) {
                entry.expired = true;
                gone.push(*entry);
            }
        }
        gone
    }

    /// As a leader answers OffsetForLeaderEpoch.
    pub fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
        if epoch < 0 || epoch > self.epoch {
            return None;
        }
        let above = self.epochs.partition_point(|&(known, _)| known <= epoch);
        let end_offset = self.epochs.get(above).map_or(self.end, |&(_, start)| start);
        Some(EpochEnd { epoch: above.checked_sub(1).map_or(epoch, |at| self.epochs[at].0), end_offset })
    }

    /// Under which epoch an offset was written.
    pub fn epoch_at(&self, offset: i64) -> i32 {
        let above = self.epochs.partition_point(|&(_, start)| start <= offset);
        above.checked_sub(1).map_or(-1, |at| self.epochs[at].0)
    }

    /// Records that can be read from an offset on.
    pub fn read(&self, from: i64) -> impl Iterator<Item = (i64, Record)> {
        let first = self.entries.partition_point(|entry| entry.offset < from);
        self.entries[first..]
            .iter()
            .filter(|entry| !entry.expired)
            .filter_map(|entry| Some((entry.offset, entry.record?)))
    }

    pub fn digests(&self, from: i64, to: i64) -> Vec<RecordDigest> {
        self.read(from)
            .take_while(|&(offset, _)| offset < to)
            .map(|(offset, record)| record.digest(offset))
            .collect()
    }
}
