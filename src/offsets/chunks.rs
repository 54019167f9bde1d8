//! The intervals of a map: a row of sealed chunks, a few bytes for each interval, and the open one at its end.

use std::collections::VecDeque;

use super::changes::Changes;
use super::interval::{Interval, OffsetPair};
use super::varint::VarintReader;
use crate::formats::FormatError;
use crate::model::Side;

/// Intervals of a sealed chunk. A look-up reads half of them, about a microsecond; its record has one to two KiB.
pub(super) const CHUNK_INTERVALS: usize = 512;

/// A chunk to which nothing is added any more.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub number: u64,
    /// Where its first interval starts; the encoding counts from here.
    pub base: OffsetPair,
    /// Where its last interval ends.
    pub next: OffsetPair,
    pub intervals: u64,
    pub encoded: Box<[u8]>,
}

impl Sealed {
    /// Its intervals in order.
    pub(super) fn iter(&self) -> Encoded<'_> {
        Encoded { after: self.base, bytes: VarintReader::new(&self.encoded) }
    }
}

/// Encodes intervals, counting from the first one's start.
pub(super) fn encode(intervals: &[Interval]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after = intervals.first().map_or(OffsetPair { source: 0, target: 0 }, Interval::base);
    for interval in intervals {
        interval.encode(after, &mut out);
        after = interval.next();
    }
    out
}

/// Walks encoded intervals. Ends where they can't be read: see [`check`].
#[derive(Clone, Debug)]
pub(super) struct Encoded<'a> {
    pub after: OffsetPair,
    pub bytes: VarintReader<'a>,
}

impl Iterator for Encoded<'_> {
    type Item = Interval;

    fn next(&mut self) -> Option<Interval> {
        let interval = Interval::decode(self.after, &mut self.bytes).ok()?;
        self.after = interval.next();
        Some(interval)
    }
}

/// Makes sure that so many encoded intervals, and nothing else, can be read. Says where the last one ends.
pub(super) fn check(base: OffsetPair, encoded: &[u8], intervals: u64) -> Result<OffsetPair, FormatError> {
    let mut bytes = VarintReader::new(encoded);
    let mut after = base;
    for _ in 0..intervals {
        after = Interval::decode(after, &mut bytes)?.next();
    }
    if !bytes.is_empty() {
        return Err(bytes.damaged("it goes on behind its last interval"));
    }
    Ok(after)
}

/// The intervals of a map.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    sealed: VecDeque<Sealed>,
    open: Vec<Interval>,
    open_number: u64,
    /// Intervals with which the open chunk is full.
    pub full: usize,
    /// Bytes of all encodings.
    encoded_bytes: usize,
}

impl Chunks {
    /// None; the open chunk has this number.
    pub(super) fn new(open_number: u64) -> Self {
        Self::stored(VecDeque::new(), open_number, Vec::new())
    }

    /// What was stored.
    pub(super) fn stored(sealed: VecDeque<Sealed>, open_number: u64, open: Vec<Interval>) -> Self {
        let encoded_bytes = sealed.iter().map(|chunk| chunk.encoded.len()).sum();
        Self { sealed, open, open_number, full: CHUNK_INTERVALS, encoded_bytes }
    }

    /// Number of the open chunk.
    pub(super) fn open_number(&self) -> u64 {
        self.open_number
    }

    /// Number of the oldest chunk.
    pub(super) fn first_number(&self) -> u64 {
        self.sealed.front().map_or(self.open_number, |chunk| chunk.number)
    }

    pub(super) fn open(&self) -> &[Interval] {
        &self.open
    }

    pub(super) fn oldest(&self) -> Option<&Sealed> {
        self.sealed.front()
    }

    /// The sealed chunk of this number.
    pub(super) fn sealed(&self, number: u64) -> Option<&Sealed> {
        let index = self.sealed.binary_search_by_key(&number, |chunk| chunk.number).ok()?;
        self.sealed.get(index)
    }

    /// Appends an interval, which lies behind all others on both sides. Returns whether a chunk was sealed for it.
    pub(super) fn append(&mut self, interval: Interval, changes: &mut Changes) -> bool {
        if let Some(last) = self.open.last_mut()
            && last.next() == interval.base()
        {
            last.count += interval.count;
            changes.add(self.open_number);
            return false;
        }
        let full = self.open.len() >= self.full;
        if full {
            self.seal();
        }
        self.open.push(interval);
        changes.add(self.open_number);
        full
    }

    /// What it holds is not changed by it, so it is stored again only if it was to be stored anyway.
    fn seal(&mut self) {
        let (Some(first), Some(last)) = (self.open.first(), self.open.last()) else { return };
        let chunk = Sealed {
            number: self.open_number,
            base: first.base(),
            next: last.next(),
            intervals: self.open.len() as u64,
            encoded: encode(&self.open).into_boxed_slice(),
        };
        self.encoded_bytes += chunk.encoded.len();
        self.sealed.push_back(chunk);
        self.open.clear();
        self.open_number += 1;
    }

    /// Drops all that reaches `limit` on either side. Returns whether a sealed chunk was opened for it.
    pub(super) fn cut(&mut self, limit: OffsetPair, changes: &mut Changes) -> bool {
        let mut reopened = false;
        loop {
            while let Some(last) = self.open.last_mut() {
                let keep = (limit.source - last.source_base).min(limit.target - last.target_base);
                if keep >= last.count {
                    return reopened;
                }
                changes.add(self.open_number);
                if keep > 0 {
                    last.count = keep;
                    return reopened;
                }
                self.open.pop();
            }
            let Some(chunk) = self.sealed.pop_back() else { return reopened };
            reopened = true;
            changes.add(self.open_number);
            changes.add(chunk.number);
            self.encoded_bytes -= chunk.encoded.len();
            self.open.extend(chunk.iter());
            self.open_number = chunk.number;
        }
    }

    /// Takes the oldest sealed chunk out.
    pub(super) fn drop_oldest(&mut self, changes: &mut Changes) -> Option<Sealed> {
        let chunk = self.sealed.pop_front()?;
        changes.add(chunk.number);
        self.encoded_bytes -= chunk.encoded.len();
        Some(chunk)
    }

    /// Drops everything; the open chunk gets a number that was never used.
    pub(super) fn clear(&mut self, changes: &mut Changes) {
        for number in self.sealed.iter().map(|chunk| chunk.number).chain([self.open_number]) {
            changes.add(number);
        }
        self.sealed.clear();
        self.open.clear();
        self.open_number += 1;
        changes.add(self.open_number);
        self.encoded_bytes = 0;
    }

    /// The last interval.
    pub(super) fn last(&self) -> Option<&Interval> {
        self.open.last()
    }

    /// Whether these records are known to lie where `interval` says.
    pub(super) fn hold(&self, interval: &Interval) -> bool {
        let (before, _) = self.around(Side::Source, interval.source_base);
        before.is_some_and(|known| {
            let skip = interval.source_base - known.source_base;
            known.target_base + skip == interval.target_base && skip + interval.count <= known.count
        })
    }

    /// The last interval that starts at or before `offset` on that side, and where the one after it starts.
    pub(super) fn around(&self, side: Side, offset: i64) -> (Option<Interval>, Option<OffsetPair>) {
        let open_after = self.open.partition_point(|interval| interval.base().on(side) <= offset);
        let next = self.open.get(open_after).map(Interval::base);
        if let Some(before) = open_after.checked_sub(1) {
            return (Some(self.open[before]), next);
        }
        let after = self.sealed.partition_point(|chunk| chunk.base.on(side) <= offset);
        let next = self.sealed.get(after).map(|chunk| chunk.base).or(next);
        let Some(chunk) = after.checked_sub(1).and_then(|index| self.sealed.get(index)) else {
            return (None, next);
        };
        let mut before = None;
        for interval in chunk.iter() {
            if interval.base().on(side) > offset {
                return (before, Some(interval.base()));
            }
            before = Some(interval);
        }
        (before, next)
    }

    /// All intervals in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Interval> {
        self.sealed.iter().flat_map(Sealed::iter).chain(self.open.iter().copied())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.sealed.iter().map(|chunk| chunk.intervals).sum::<u64>() + self.open.len() as u64
    }

    /// Memory held beside `Self`.
    pub(super) fn memory_bytes(&self) -> usize {
        self.encoded_bytes
            + self.sealed.capacity() * size_of::<Sealed>()
            + self.open.capacity() * size_of::<Interval>()
    }
}
