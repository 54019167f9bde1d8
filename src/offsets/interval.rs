//! A run of records, and the few bytes that it takes.

use super::varint::{VarintReader, put};
use crate::formats::FormatError;
use crate::model::{Segment, Side};

/// A run of records whose offsets rise by one on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First offset on the source.
    pub source_base: i64,
    /// First offset on the target.
    pub target_base: i64,
    /// How many records; more than 0.
    pub count: i64,
}

impl Interval {
    /// Source offset after the run.
    pub fn source_next(&self) -> i64 {
        self.source_base + self.count
    }

    /// Target offset after the run.
    pub fn target_next(&self) -> i64 {
        self.target_base + self.count
    }

    /// Where it starts.
    pub(super) fn base(&self) -> OffsetPair {
        OffsetPair { source: self.source_base, target: self.target_base }
    }

    /// Where it ends.
    pub(super) fn next(&self) -> OffsetPair {
        OffsetPair { source: self.source_next(), target: self.target_next() }
    }

    /// Appends it, as what follows `after`: the gap on the source and whether there is one on the target, that gap,
    /// and the count. Behind a transaction marker that is two bytes for up to 128 records.
    pub(super) fn encode(&self, after: OffsetPair, out: &mut Vec<u8>) {
        let source_gap = self.source_base.abs_diff(after.source);
        let target_gap = self.target_base.abs_diff(after.target);
        put(out, source_gap << 1 | u64::from(target_gap > 0));
        if target_gap > 0 {
            put(out, target_gap);
        }
        put(out, self.count.unsigned_abs() - 1);
    }

    /// Reads what [`encode`](Self::encode) wrote. Fails if the bytes end, or an offset leaves its range.
    pub(super) fn decode(after: OffsetPair, bytes: &mut VarintReader<'_>) -> Result<Self, FormatError> {
        let head = bytes.varint("gap")?;
        let target_gap = if head & 1 == 1 { bytes.varint("gap")? } else { 0 };
        let count = bytes.varint("count")?;
        let interval = || {
            let source_base = after.source.checked_add_unsigned(head >> 1)?;
            let target_base = after.target.checked_add_unsigned(target_gap)?;
            let count = i64::try_from(count).ok()?.checked_add(1)?;
            source_base.checked_add(count)?;
            target_base.checked_add(count)?;
            Some(Self { source_base, target_base, count })
        };
        interval().ok_or(bytes.damaged("an offset is out of range"))
    }
}

impl From<&Segment> for Interval {
    fn from(segment: &Segment) -> Self {
        Self {
            source_base: segment.source_base,
            target_base: segment.target_base,
            count: segment.count.into(),
        }
    }
}

/// An offset on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetPair {
    pub source: i64,
    pub target: i64,
}

impl OffsetPair {
    /// The offset on a side.
    pub(super) fn on(self, side: Side) -> i64 {
        match side {
            Side::Source => self.source,
            Side::Target => self.target,
        }
    }

    /// The lower of each side.
    pub(super) fn min(self, other: Self) -> Self {
        Self { source: self.source.min(other.source), target: self.target.min(other.target) }
    }

    /// Whether neither side lies above the other's.
    pub(super) fn is_within(self, limit: Self) -> bool {
        self.source <= limit.source && self.target <= limit.target
    }
}
