//! What lies between a batch that is given and one that is sent.

use crate::batch::{HEADER_BYTES, RawBatch, Restamped, Run};
use crate::engine::budget::Permit;
use crate::model::{BatchInfo, Segment};

/// Sequence numbers go from 0 to 2³¹ − 1 and start at 0 again.
const SEQUENCE_MASK: u32 = i32::MAX as u32;

/// The sequence number `records` after `sequence`.
pub(super) fn advance(sequence: i32, records: u32) -> i32 {
    (sequence.cast_unsigned().wrapping_add(records) & SEQUENCE_MASK).cast_signed()
}

/// A batch that was given, until all its records are acknowledged.
pub(super) struct GivenBatch {
    pub(super) info: BatchInfo,
    /// What is stored of it; taken when it is packed.
    pub(super) batches: Vec<RawBatch>,
    /// Freed with the input.
    _permit: Permit,
    /// Where its records went, as far as they are acknowledged.
    pub(super) segments: Vec<Segment>,
    /// Bytes of its records as they are stored; 0 when nothing of it was for the target.
    pub(super) bytes: u64,
}

impl GivenBatch {
    /// A batch as it was given.
    pub(super) fn new(info: BatchInfo, permit: Permit, batches: Vec<RawBatch>) -> Self {
        Self { info, batches, _permit: permit, segments: Vec::new(), bytes: 0 }
    }

    /// Stored bytes that wait to be packed.
    pub(super) fn stored_bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes().len()).sum()
    }

    /// Takes the stored batches out, and counts their records' bytes.
    pub(super) fn unpack(&mut self) -> Vec<RawBatch> {
        let body = |batch: &RawBatch| batch.bytes().len().saturating_sub(HEADER_BYTES) as u64;
        self.bytes = self.batches.iter().map(body).sum();
        std::mem::take(&mut self.batches)
    }
}

/// A batch under its sequence number, until it is acknowledged.
pub(super) struct SequencedBatch {
    /// What is sent, however often: the same bytes each time.
    pub(super) sealed: Restamped,
    /// The same before it got its producer; opened again when the target finds it too large.
    pub(super) raw: RawBatch,
    pub(super) sequence: i32,
    /// Source offsets of its records. `target_base` counts from its first record.
    pub(super) segments: Vec<Segment>,
    /// Inputs before this number are wholly on the target when this is.
    pub(super) completes: u64,
    pub(super) state: BatchState,
    /// Whether the target may hold it, although it said no or nothing.
    pub(super) uncertain: bool,
    /// Whether it was on its way at least once.
    pub(super) tried: bool,
    /// How often the target found its checksum wrong.
    pub(super) corrupt: u32,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchState {
    /// To be sent.
    Fresh,
    /// On its way.
    Sent,
    /// To be sent again, once nothing of the partition is on its way.
    Failed,
    /// To be written anew in smaller batches or with another codec, then sent.
    Repack,
    /// On the target, from this offset on.
    Written(i64),
}

impl SequencedBatch {
    /// Records in it.
    pub(super) fn records(&self) -> u32 {
        self.segments.iter().map(|segment| segment.count).sum()
    }

    /// Source offset of its first record.
    pub(super) fn source_base(&self) -> i64 {
        self.segments.first().map_or(-1, |segment| segment.source_base)
    }

    /// Largest record timestamp; −1 when there is none.
    pub(super) fn max_timestamp_ms(&self) -> i64 {
        self.raw.header().max_timestamp_ms
    }
}

/// Source offset of the record at `index`.
pub(super) fn source_at(segments: &[Segment], index: u32) -> Option<i64> {
    let at = i64::from(index);
    let segment = segments.iter().rfind(|segment| segment.target_base <= at)?;
    let place = at - segment.target_base;
    (place < i64::from(segment.count)).then_some(segment.source_base + place)
}

/// Lays runs of source offsets one after the other, cut where an input of `ends` (rising) begins.
pub(super) fn lay(runs: &[Run], ends: impl IntoIterator<Item = i64>) -> Vec<Segment> {
    let mut ends = ends.into_iter().peekable();
    let mut segments = Vec::with_capacity(runs.len());
    let mut at = 0;
    for run in runs {
        let (mut base, mut left) = (run.source_base, run.count);
        while left > 0 {
            while ends.next_if(|end| *end <= base).is_some() {}
            let room = ends.peek().map_or(i64::MAX, |end| end - base);
            let count = u32::try_from(room).map_or(left, |room| room.min(left));
            segments.push(Segment { source_base: base, target_base: at, count });
            base += i64::from(count);
            at += i64::from(count);
            left -= count;
        }
    }
    segments
}

/// The part of `segments` that `count` records from `skip` on are, counted from the first of them.
pub(super) fn cut(segments: &[Segment], skip: i64, count: u32) -> Vec<Segment> {
    let end = skip + i64::from(count);
    let part = |segment: &Segment| {
        let from = segment.target_base.max(skip);
        let to = segment.target_next().min(end);
        let count = u32::try_from(to - from).ok().filter(|count| *count > 0)?;
        Some(Segment {
            source_base: segment.source_base + (from - segment.target_base),
            target_base: from - skip,
            count,
        })
    };
    segments.iter().filter_map(part).collect()
}

/// Appends a segment, as part of the one before it where it goes on there on both sides.
pub(super) fn append(segments: &mut Vec<Segment>, next: Segment) {
    match segments.last_mut() {
        Some(last)
            if last.source_next() == next.source_base
                && last.target_next() == next.target_base
                && last.count.checked_add(next.count).is_some() =>
        {
            last.count += next.count;
        }
        _ => segments.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(source_base: i64, target_base: i64, count: u32) -> Segment {
        Segment { source_base, target_base, count }
    }

    #[test]
    fn sequences_wrap_to_zero_as_kafkas_do() {
        assert_eq!(advance(0, 5), 5);
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 2, 5), 2);
    }

    #[test]
    fn runs_are_laid_out_and_cut_between_inputs() {
        let runs = [Run { source_base: 10, count: 4 }, Run { source_base: 20, count: 2 }];
        assert_eq!(lay(&runs, []), [segment(10, 0, 4), segment(20, 4, 2)]);
        assert_eq!(lay(&runs, [5, 12, 22]), [segment(10, 0, 2), segment(12, 2, 2), segment(20, 4, 2)]);
    }

    #[test]
    fn a_part_counts_from_its_own_first_record() {
        let whole = [segment(10, 0, 4), segment(20, 4, 2)];
        assert_eq!(cut(&whole, 0, 2), [segment(10, 0, 2)]);
        assert_eq!(cut(&whole, 2, 4), [segment(12, 0, 2), segment(20, 2, 2)]);
    }

    #[test]
    fn what_goes_on_on_both_sides_is_one_segment() {
        let mut segments = vec![segment(10, 100, 2)];
        append(&mut segments, segment(12, 102, 3));
        append(&mut segments, segment(15, 106, 1));
        assert_eq!(segments, [segment(10, 100, 5), segment(15, 106, 1)]);
    }
}
