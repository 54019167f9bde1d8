//! The offset map of one partition: which source offset went to which target offset.
//!
//! It is a list of intervals that rise on both sides. What lies between two of them needs no mark:
//! - where the target goes on without a gap, no source offset between them has a copy, so the next copy answers exactly;
//! - where the target has a gap, something else lies there (another writer's records, copies that were only counted or
//!   that were written again). The end of the interval before it is then the earliest safe answer, on both sides.
//!
//! A source offset that is mirrored again (after a truncation, or by a repeat) replaces what was known from there on:
//! the newest copy is the one behind which every later record follows once.

use super::{MapIdentity, Translation};
use crate::model::Segment;

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
}

/// The offset map of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetMap {
    identity: MapIdentity,
    /// Where the map begins: (source, target). Nothing is known of what was mirrored before.
    begin: (i64, i64),
    intervals: Vec<Interval>,
    /// Every source offset before this is mirrored, or has no record to mirror.
    source_next: i64,
    /// The target's end as far as we know: what is mirrored next lies here or after.
    target_next: i64,
}

impl OffsetMap {
    /// A map that begins where mirroring begins.
    pub fn new(identity: MapIdentity, source_next: i64, target_next: i64) -> Self {
        Self { identity, begin: (source_next, target_next), intervals: Vec::new(), source_next, target_next }
    }

    /// Which logs it speaks of.
    pub fn identity(&self) -> &MapIdentity {
        &self.identity
    }

    /// Next source offset to be mirrored.
    pub fn source_next(&self) -> i64 {
        self.source_next
    }

    /// Target offset that the next record gets, or a later one.
    pub fn target_next(&self) -> i64 {
        self.target_next
    }

    /// Mirroring goes on at `source_next`, and what it writes comes to `target_next` or after; `matched` was found on
    /// the target behind the saved position.
    ///
    /// What the map says of source offsets from `source_next` on, and of target offsets from `target_next` on, is
    /// void: it was truncated, or will be mirrored again. Logs of another identity void everything.
    pub fn resume(
        &mut self,
        identity: &MapIdentity,
        source_next: i64,
        target_next: i64,
        matched: &[Segment],
    ) {
        if self.identity != *identity {
            let (source, target) = matched
                .first()
                .map_or((source_next, target_next), |first| (first.source_base, first.target_base));
            *self = Self::new(identity.clone(), source, target);
        }
        self.cut(source_next, target_next);
        for segment in matched {
            self.push(segment);
        }
        self.source_next = source_next;
        self.target_next = target_next.max(self.intervals.last().map_or(0, Interval::target_next));
    }

    /// Records were acknowledged; every source offset before `source_next` is done with.
    pub fn acknowledged(&mut self, segments: &[Segment], source_next: i64) {
        for segment in segments {
            self.push(segment);
        }
        self.source_next = self.source_next.max(source_next);
    }

    /// Where on the target a group goes on that committed `source` on the source.
    pub fn forward(&self, source: i64) -> Translation {
        let after = self.intervals.partition_point(|interval| interval.source_base <= source);
        let next_target = match self.intervals.get(after) {
            Some(next) => next.target_base,
            None if source <= self.source_next => self.target_next,
            // What comes next is not mirrored yet.
            None => return Translation::EarliestSafe(self.target_next),
        };
        match after.checked_sub(1).map(|index| &self.intervals[index]) {
            Some(interval) if source <= interval.source_next() => {
                Translation::Exact(interval.target_base + (source - interval.source_base))
            }
            Some(before) if before.target_next() == next_target => Translation::Exact(next_target),
            Some(before) => Translation::EarliestSafe(before.target_next()),
            None => self.before_begin(source, next_target),
        }
    }

    /// Where on the source a group goes on that committed `target` on the target.
    pub fn backward(&self, target: i64) -> Translation {
        let after = self.intervals.partition_point(|interval| interval.target_base <= target);
        match after.checked_sub(1).map(|index| &self.intervals[index]) {
            Some(interval) if target <= interval.target_next() => {
                Translation::Exact(interval.source_base + (target - interval.target_base))
            }
            Some(_) if after == self.intervals.len() && target >= self.target_next => {
                Translation::Exact(self.source_next)
            }
            Some(before) => Translation::EarliestSafe(before.source_next()),
            None if target >= self.begin.1 => Translation::EarliestSafe(self.begin.0),
            None => Translation::Unknown,
        }
    }

    fn before_begin(&self, source: i64, next_target: i64) -> Translation {
        let (begin_source, begin_target) = self.begin;
        if source >= begin_source {
            return match begin_target == next_target {
                true => Translation::Exact(next_target),
                false => Translation::EarliestSafe(begin_target),
            };
        }
        match begin_target {
            // The target was empty: nothing from before can be on it.
            0 => Translation::EarliestSafe(0),
            _ => Translation::Unknown,
        }
    }

    fn push(&mut self, segment: &Segment) {
        let known = self.intervals.last().map_or(self.begin.0, Interval::source_next);
        let overlap = (known - segment.source_base).clamp(0, i64::from(segment.count));
        let count = i64::from(segment.count) - overlap;
        if count == 0 {
            return;
        }
        let interval = Interval {
            source_base: segment.source_base + overlap,
            target_base: segment.target_base + overlap,
            count,
        };
        match self.intervals.last_mut() {
            Some(last)
                if last.source_next() == interval.source_base
                    && last.target_next() == interval.target_base =>
            {
                last.count += count;
            }
            _ => self.intervals.push(interval),
        }
        self.source_next = self.source_next.max(interval.source_next());
        self.target_next = self.target_next.max(interval.target_next());
    }

    fn cut(&mut self, source_next: i64, target_next: i64) {
        while let Some(last) = self.intervals.last_mut() {
            let keep = (source_next - last.source_base).min(target_next - last.target_base);
            if keep > 0 {
                last.count = last.count.min(keep);
                return;
            }
            self.intervals.pop();
        }
    }
}
