//! A partition's log: stored batches, where epochs began, which transactions were aborted.

use bytes::{Bytes, BytesMut};
use mirrormesh::batch::{BatchBuilder, ControlKind, HEADER_BYTES, Header, RawBatch, Record, control_kind};
use mirrormesh::model::Codec;
use std::collections::BTreeMap;

/// Where a batch keeps its leader epoch, checksum, attributes and largest timestamp; the checksum covers everything
/// from the attributes on.
const EPOCH_AT: usize = 12;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;
/// The broker's time of appending counts for all records.
const APPEND_TIME: i16 = 0x08;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aborted {
    pub(super) producer: i64,
    pub(super) first: i64,
    /// Where its marker is.
    last: i64,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) records: Bytes,
    pub(super) aborted: Vec<Aborted>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    batches: Vec<RawBatch>,
    start: i64,
    end: i64,
    /// Up to where it is replicated, where that isn't all.
    held_back: Option<i64>,
    /// Epochs and where they began, in order.
    epochs: Vec<(i32, i64)>,
    aborted: Vec<Aborted>,
    /// First offsets of open transactions, by producer.
    open: BTreeMap<i64, i64>,
}

impl Log {
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    pub(super) fn end(&self) -> i64 {
        self.end
    }

    pub(super) fn high_watermark(&self) -> i64 {
        self.held_back.map_or(self.end, |offset| offset.min(self.end))
    }

    pub(super) fn last_stable(&self) -> i64 {
        let open = self.open.values().min().copied().unwrap_or(i64::MAX);
        open.min(self.high_watermark())
    }

    /// Leaves the high watermark where it is, or lets it follow the end again.
    pub(super) fn hold_back(&mut self, hold: bool) {
        self.held_back = hold.then(|| self.high_watermark());
    }

    pub(super) fn batches(&self) -> &[RawBatch] {
        &self.batches
    }

    /// Begins an epoch at the end of the log.
    pub(super) fn begin_epoch(&mut self, epoch: i32) {
        // An epoch without a record gives way.
        self.epochs.retain(|(_, began)| *began < self.end);
        self.epochs.push((epoch, self.end));
    }

    /// Appends a batch, and tells its header as it is stored now.
    pub(super) fn append(&mut self, batch: &RawBatch, epoch: i32, append_time: Option<i64>) -> Header {
        let stored = stamped(batch, self.end, epoch, append_time);
        let header = *stored.header();
        self.end = header.next_offset();
        if header.is_control() {
            let marker = control_kind(&stored).expect("markers are made here");
            if let Some(first) = self.open.remove(&header.producer_id)
                && marker == Some(ControlKind::Abort)
            {
                let last = header.base_offset;
                self.aborted.push(Aborted { producer: header.producer_id, first, last });
            }
        } else if header.is_transactional() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
        }
        self.batches.push(stored);
        header
    }

    /// Reads from the batch that holds an offset on, up to `limit`: at most `max_bytes`, which may end within a batch.
    ///
    /// A first batch that is larger comes whole with `at_least_one`, and not at all without (KIP-74).
    pub(super) fn read(&self, offset: i64, limit: i64, max_bytes: usize, at_least_one: bool) -> Chunk {
        let from = self.batches.partition_point(|batch| batch.header().next_offset() <= offset);
        let readable = self.batches[from..].iter().take_while(|batch| batch.header().next_offset() <= limit);
        let (mut records, mut next) = (BytesMut::new(), offset);
        for batch in readable {
            let bytes = batch.bytes();
            let room = max_bytes.saturating_sub(records.len());
            if records.is_empty() && bytes.len() > room {
                if !at_least_one {
                    return Chunk::default();
                }
                records.extend_from_slice(bytes);
                next = batch.header().next_offset();
                break;
            }
            if room == 0 {
                break;
            }
            records.extend_from_slice(&bytes[..bytes.len().min(room)]);
            next = batch.header().next_offset();
        }
        let touched = |aborted: &&Aborted| aborted.first < next && aborted.last >= offset;
        let aborted = self.aborted.iter().filter(touched).copied().collect();
        Chunk { records: records.freeze(), aborted }
    }

    /// The first record with this timestamp or a later one, below `limit`: its offset, timestamp and epoch.
    pub(super) fn at_timestamp(&self, timestamp_ms: i64, limit: i64) -> Option<(i64, i64, i32)> {
        let late = |batch: &&RawBatch| batch.header().max_timestamp_ms >= timestamp_ms;
        for batch in self.batches.iter().filter(late) {
            let late = |record: &Record| record.offset >= self.start && record.timestamp_ms >= timestamp_ms;
            if let Some(record) = records(batch).into_iter().find(late) {
                let found = (record.offset, record.timestamp_ms, batch.header().leader_epoch);
                return (record.offset < limit).then_some(found);
            }
        }
        None
    }

    /// The record with the largest timestamp, of several the first: its offset, timestamp and epoch.
    pub(super) fn at_max_timestamp(&self) -> Option<(i64, i64, i32)> {
        let all = self.batches.iter().flat_map(|batch| {
            let epoch = batch.header().leader_epoch;
            records(batch).into_iter().map(move |record| (record.offset, record.timestamp_ms, epoch))
        });
        all.max_by_key(|(offset, timestamp_ms, _)| (*timestamp_ms, -*offset))
    }

    /// The epoch at the start of the log.
    pub(super) fn first_epoch(&self) -> i32 {
        let first = self.epochs.iter().rev().find(|(_, began)| *began <= self.start);
        first.map_or(-1, |(epoch, _)| *epoch)
    }

    /// The epoch at the end of the log.
    pub(super) fn last_epoch(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ended (`LeaderEpochFileCache.endOffsetFor`).
    pub(super) fn epoch_end(&self, epoch: i32) -> (i32, i64) {
        if epoch >= 0 && epoch == self.last_epoch() {
            return (epoch, self.end);
        }
        let above = self.epochs.iter().position(|(known, _)| *known > epoch);
        match above {
            Some(0) if epoch >= 0 => (epoch, self.epochs[0].1),
            Some(above) if epoch >= 0 => (self.epochs[above - 1].0, self.epochs[above].1),
            _ => (-1, -1),
        }
    }

    /// Drops what lies behind an offset: batches that end behind it, whole.
    pub(super) fn truncate(&mut self, offset: i64) {
        self.batches.retain(|batch| batch.header().next_offset() <= offset);
        self.end = offset.min(self.end);
        self.epochs.retain(|(_, began)| *began <= self.end);
        self.aborted.retain(|aborted| aborted.last < self.end);
        self.open.retain(|_, first| *first < self.end);
    }

    /// Moves the start of the log.
    pub(super) fn delete_before(&mut self, offset: i64) {
        self.start = offset.clamp(self.start, self.end);
        self.batches.retain(|batch| batch.header().next_offset() > self.start);
    }

    /// Turns a bit of a batch over, behind its header.
    pub(super) fn damage(&mut self, offset: i64) {
        let at = self.batches.partition_point(|batch| batch.header().next_offset() <= offset);
        let mut bytes = BytesMut::from(&self.batches[at].bytes()[..]);
        bytes[HEADER_BYTES] ^= 1;
        self.batches[at] = RawBatch::parse(bytes.freeze()).expect("its header is as before");
    }

    /// Does what the cleaner does: of each key the last record stays, and the last batch as it is.
    pub(super) fn compact(&mut self) {
        let mut last = BTreeMap::new();
        for record in self.batches.iter().filter(|batch| !batch.header().is_control()).flat_map(records) {
            last.insert(record.key, record.offset);
        }
        let newest = self.batches.pop();
        self.batches = self.batches.iter().filter_map(|batch| cleaned(batch, &last)).collect();
        self.batches.extend(newest);
    }
}

/// The records of a stored batch.
pub(super) fn records(batch: &RawBatch) -> Vec<Record> {
    batch.records().expect("stored batches were checked")
}

/// A batch as the cleaner leaves it: its offsets stay, records with an older value of their key go.
fn cleaned(batch: &RawBatch, last: &BTreeMap<Option<Bytes>, i64>) -> Option<RawBatch> {
    let header = batch.header();
    if header.is_control() {
        return Some(batch.clone());
    }
    let stays = |record: &Record| record.key.is_some() && last[&record.key] == record.offset;
    let kept: Vec<Record> = records(batch).into_iter().filter(stays).collect();
    let codec = header.codec().expect("stored batches were checked");
    let mut built = BatchBuilder::new(codec)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.is_transactional());
    let mut next = header.base_offset;
    let gap = |from: i64, to: i64| u32::try_from(to - from).expect("a batch has fewer offsets");
    for record in &kept {
        built.skip_offsets(gap(next, record.offset));
        push(&mut built, record);
        next = record.offset + 1;
    }
    if kept.is_empty() {
        return None;
    }
    built.skip_offsets(gap(next, header.next_offset()));
    let built = RawBatch::parse(built.build().expect("it has records")).expect("it was just made");
    let append_time = header.is_append_time().then_some(header.max_timestamp_ms);
    Some(stamped(&built, header.base_offset, header.leader_epoch, append_time))
}

/// Adds a record as it is.
pub(super) fn push(built: &mut BatchBuilder, record: &Record) {
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        record.headers.iter().map(|header| (header.key.as_ref(), header.value.as_deref())).collect();
    built.push(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers);
}

/// A batch as a broker stores it.
fn stamped(batch: &RawBatch, base_offset: i64, epoch: i32, append_time: Option<i64>) -> RawBatch {
    let mut bytes = BytesMut::from(&batch.bytes()[..]);
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[EPOCH_AT..EPOCH_AT + 4].copy_from_slice(&epoch.to_be_bytes());
    if let Some(now_ms) = append_time {
        let attributes = batch.header().attributes | APPEND_TIME;
        bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
        bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now_ms.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }
    RawBatch::parse(bytes.freeze()).expect("its header was sound before")
}

/// The marker that ends a transaction.
pub(super) fn marker((id, epoch): (i64, i16), commit: bool, now_ms: i64) -> RawBatch {
    /// Holds a marker of the broker, not data.
    const CONTROL: i16 = 0x20;
    let kind = [0, 0, 0, u8::from(commit)];
    // Version 0, and the coordinator's epoch.
    let value = [0; 6];
    let mut built = BatchBuilder::new(Codec::None).producer(id, epoch, -1).transactional(true);
    built.push(now_ms, Some(&kind), Some(&value), &[]);
    let mut bytes = BytesMut::from(&built.build().expect("it has a record")[..]);
    let attributes = i16::from_be_bytes([bytes[ATTRIBUTES_AT], bytes[ATTRIBUTES_AT + 1]]) | CONTROL;
    bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    RawBatch::parse(bytes.freeze()).expect("it was just made")
}
