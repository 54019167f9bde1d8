//! What a map answers, in both directions.

use super::Translation;
use super::interval::{Interval, OffsetPair};
use super::map::OffsetMap;
use crate::model::Side;

impl OffsetMap {
    /// Where on the target a group goes on that committed `source` on the source.
    ///
    /// Exact for every offset that was mirrored, and never past the copy of a record that is still to be read.
    pub fn forward(&self, source: i64) -> Translation {
        let (before, next) = self.chunks.around(Side::Source, source);
        if let Some(interval) = before
            && source < interval.source_next()
        {
            return Translation::Exact(interval.target_base + (source - interval.source_base));
        }
        let OffsetPair { source: from_source, target: from_target } =
            before.as_ref().map_or(self.begin, Interval::next);
        if source < from_source {
            return self.before_begin(Side::Source, source);
        }
        // What comes next is not mirrored yet, and may not be what the group reads next.
        let ahead = next.is_none() && source > self.next.source;
        let contiguous = from_target == next.unwrap_or(self.next).target;
        let at_end = before.is_some() && source == from_source;
        if !ahead && (contiguous || at_end) {
            Translation::Exact(from_target)
        } else {
            Translation::EarliestSafe(from_target)
        }
    }

    /// Where on the source a group goes on that committed `target` on the target.
    pub fn backward(&self, target: i64) -> Translation {
        let (before, next) = self.chunks.around(Side::Target, target);
        if let Some(interval) = before
            && target < interval.target_next()
        {
            return Translation::Exact(interval.source_base + (target - interval.target_base));
        }
        let OffsetPair { source: from_source, target: from_target } =
            before.as_ref().map_or(self.begin, Interval::next);
        if target < from_target {
            return self.before_begin(Side::Target, target);
        }
        if next.is_none() && target >= self.next.target {
            // Behind the end, the group may have read what is written and not acknowledged yet.
            return match target == self.next.target {
                true => Translation::Exact(self.next.source),
                false => Translation::EarliestSafe(self.next.source),
            };
        }
        if before.is_some() && target == from_target {
            return Translation::Exact(from_source);
        }
        Translation::EarliestSafe(from_source)
    }

    /// The answer below the map's begin, for an offset of that side.
    fn before_begin(&self, side: Side, offset: i64) -> Translation {
        let other = side.other();
        if let Some(kept) = self.kept_pairs.at_or_before(side, offset) {
            return Translation::EarliestSafe(kept.on(other));
        }
        let answer = self.origin.on(other);
        // What began at 0 has nothing before it.
        if offset >= self.origin.on(side) || answer == 0 {
            Translation::EarliestSafe(answer)
        } else {
            Translation::Unknown
        }
    }
}
