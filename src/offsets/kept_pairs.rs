//! What stays of the part of a map that was forgotten: a few pairs of offsets.

use super::interval::OffsetPair;
use crate::formats::least_missed;
use crate::model::Side;

/// How many are kept at most: 512 bytes. With ten million forgotten gaps, each still lies at most twice as far back as
/// the one after it.
pub(super) const MOST_KEPT_PAIRS: usize = 32;

/// Pairs at which forgotten chunks started, oldest first; both sides rise.
///
/// What is mirrored from a pair's source offset on lies at its target offset or behind. So whoever stands behind one
/// side of a pair goes on safely at the other. The newer they are, the closer together they lie; what is forgotten
/// last is asked for most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeptPairs(Vec<OffsetPair>);

impl KeptPairs {
    /// Those that were stored.
    pub(super) fn stored(pairs: Vec<OffsetPair>) -> Self {
        Self(pairs)
    }

    /// Takes the start of a chunk that is forgotten now, and drops the pair that is missed least if there are too many.
    ///
    /// One that is not above the last on both sides is not taken: after a cut to the last one, that still holds.
    pub(super) fn push(&mut self, pair: OffsetPair) {
        if self.0.last().is_some_and(|last| pair.source <= last.source || pair.target <= last.target) {
            return;
        }
        self.0.push(pair);
        if self.0.len() > MOST_KEPT_PAIRS {
            let newest_first: Vec<i64> = self.0.iter().rev().map(|pair| pair.target).collect();
            self.0.remove(self.0.len() - 1 - least_missed(&newest_first));
        }
    }

    /// Drops those that lie above `limit` on either side: their copies are void.
    pub(super) fn cut(&mut self, limit: OffsetPair) {
        self.0.retain(|pair| pair.is_within(limit));
    }

    /// The newest that is not above `offset` on that side.
    pub(super) fn at_or_before(&self, side: Side, offset: i64) -> Option<OffsetPair> {
        let after = self.0.partition_point(|pair| pair.on(side) <= offset);
        self.0.get(after.checked_sub(1)?).copied()
    }

    /// All of them, oldest first.
    pub(super) fn as_slice(&self) -> &[OffsetPair] {
        &self.0
    }

    /// Memory held beside `Self`.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<OffsetPair>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(source: i64, target: i64) -> OffsetPair {
        OffsetPair { source, target }
    }

    /// Going on from a kept pair must not cost much more than going on from what is not forgotten.
    #[test]
    fn the_newer_they_are_the_closer_together_they_lie() {
        let mut kept_pairs = KeptPairs::default();
        for chunk in 0..20_000_i64 {
            kept_pairs.push(pair(3 * chunk, chunk));
            let back: Vec<i64> = kept_pairs.0.iter().rev().map(|pair| chunk - pair.target).collect();
            for steps in back[1..].windows(2) {
                assert!(steps[1] <= 2 * steps[0], "after {chunk} chunks: {back:?}");
            }
            assert_eq!(back.last(), Some(&chunk), "the oldest stays");
            assert_eq!(back.get(1).copied().unwrap_or(1), 1, "the newest stay: {back:?}");
        }
    }

    #[test]
    fn a_cut_drops_what_lies_above_it_on_either_side() {
        let mut kept_pairs = KeptPairs::default();
        (1..=5).for_each(|at| kept_pairs.push(pair(10 * at, at)));
        kept_pairs.cut(pair(45, 3));
        assert_eq!(kept_pairs.as_slice(), [pair(10, 1), pair(20, 2), pair(30, 3)]);
        kept_pairs.cut(pair(20, 9));
        kept_pairs.push(pair(20, 9));
        assert_eq!(kept_pairs.as_slice(), [pair(10, 1), pair(20, 2)], "the last one still holds");
        assert_eq!(kept_pairs.at_or_before(Side::Source, 19), Some(pair(10, 1)));
        assert_eq!(kept_pairs.at_or_before(Side::Target, 2), Some(pair(20, 2)));
        assert_eq!(kept_pairs.at_or_before(Side::Target, 0), None);
    }

    proptest! {
        #[test]
        fn few_and_rising(steps in prop::collection::vec((0..5_i64, 0..5_i64, prop::option::of(0..60_i64)), 0..300)) {
            let mut kept_pairs = KeptPairs::default();
            let mut at = pair(0, 0);
            for (source, target, cut) in steps {
                at = pair(at.source + source, at.target + target);
                kept_pairs.push(at);
                if let Some(back) = cut {
                    at = pair((at.source - back).max(0), at.target);
                    kept_pairs.cut(at);
                }
                let held = kept_pairs.as_slice();
                prop_assert!(held.len() <= MOST_KEPT_PAIRS);
                prop_assert!(held.is_sorted_by(|a, b| a.source < b.source && a.target < b.target));
                prop_assert!(held.iter().all(|pair| pair.is_within(at)));
            }
        }
    }
}
