//! A few pairs of offsets at which mirroring is known to have stood.

use serde::{Deserialize, Serialize};

/// How many anchors are kept at most. With that many, each step back is a small multiple of the one before even
/// over billions of records, and a position record stays below two kilobytes.
pub const MAX_ANCHORS: usize = 16;

/// Everything to be mirrored before `source` lies on the target before `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Next source offset at that moment.
    pub source: i64,
    /// Next target offset at that moment.
    pub target: i64,
}

/// The anchors of one incarnation of a partition, newest first.
///
/// They answer one question: the target has lost what it acknowledged from some offset on; from which source offset
/// must be mirrored again? The oldest, where mirroring of this incarnation began, is always kept; the others lie
/// the closer together the newer they are. Target offsets fall strictly from the newest to the oldest, source
/// offsets never rise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Anchor>", try_from = "Vec<Anchor>")]
pub struct Anchors(Vec<Anchor>);

impl Anchors {
    /// Starts an incarnation here.
    pub fn starting_at(source: i64, target: i64) -> Self {
        Self(vec![Anchor { source, target }])
    }

    /// Takes where mirroring stands now, and drops the anchor that is missed least if there are too many.
    ///
    /// Returns whether it was taken. A pair that doesn't move the target on, or lies behind the newest on either
    /// side, is not: what is held already answers as well, and safely.
    pub fn push(&mut self, source: i64, target: i64) -> bool {
        if self.0.first().is_some_and(|newest| target <= newest.target || source < newest.source) {
            return false;
        }
        self.0.insert(0, Anchor { source, target });
        if self.0.len() > MAX_ANCHORS {
            let targets: Vec<i64> = self.0.iter().map(|anchor| anchor.target).collect();
            self.0.remove(least_missed(&targets));
        }
        true
    }

    /// The newest anchor whose target offset is not above `target_offset`; `None` if mirroring began above it.
    pub fn at_or_before_target(&self, target_offset: i64) -> Option<Anchor> {
        self.0.iter().find(|anchor| anchor.target <= target_offset).copied()
    }

    /// Forgets anchors above `target_end`: what they stand for is gone from the target.
    pub fn forget_above_target(&mut self, target_end: i64) {
        self.0.retain(|anchor| anchor.target <= target_end);
    }

    /// The anchors, newest first.
    pub fn as_slice(&self) -> &[Anchor] {
        &self.0
    }
}

/// Which of these offsets, newest first and falling, is missed least: between whose neighbours the gap would be
/// smallest, relative to its distance from the newest. Neither the newest nor the oldest; there are three or more.
pub(crate) fn least_missed(newest_first: &[i64]) -> usize {
    let newest = i128::from(newest_first[0]);
    // Offsets are not negative, so that a distance has 63 bits and a product of two fits.
    let distance = |index: usize| (newest - i128::from(newest_first[index])).max(1);
    let mut least = 1;
    for index in 2..newest_first.len() - 1 {
        // far(index) / near(index) < far(least) / near(least), without dividing.
        let this = distance(index + 1).saturating_mul(distance(least - 1));
        let best = distance(least + 1).saturating_mul(distance(index - 1));
        if this < best {
            least = index;
        }
    }
    least
}

impl From<Anchors> for Vec<Anchor> {
    fn from(anchors: Anchors) -> Self {
        anchors.0
    }
}

impl TryFrom<Vec<Anchor>> for Anchors {
    type Error = &'static str;

    fn try_from(anchors: Vec<Anchor>) -> Result<Self, Self::Error> {
        if anchors.len() > MAX_ANCHORS {
            return Err("there are more anchors than are ever kept");
        }
        if !anchors.is_sorted_by(|newer, older| newer.target > older.target && newer.source >= older.source) {
            return Err("its anchors are out of order");
        }
        if anchors.last().is_some_and(|oldest| oldest.source < 0 || oldest.target < 0) {
            return Err("its anchors have negative offsets");
        }
        Ok(Self(anchors))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Steps of (source, target), as runs of records, gaps and foreign records make them.
    fn steps() -> impl Strategy<Value = (i64, i64, Vec<(i64, i64)>)> {
        let step = prop_oneof![(0..5_i64, 0..5_i64), (0..1_000_000_i64, 0..1_000_000_i64)];
        (0..1000_i64, 0..1000_i64, proptest::collection::vec(step, 0..200))
    }

    proptest! {
        #[test]
        fn bounded_monotonic_and_rooted((source, target, steps) in steps()) {
            let mut anchors = Anchors::starting_at(source, target);
            let mut taken = vec![Anchor { source, target }];
            let (mut at_source, mut at_target) = (source, target);
            for (by_source, by_target) in steps {
                at_source += by_source;
                at_target += by_target;
                let now = Anchor { source: at_source, target: at_target };
                prop_assert_eq!(anchors.push(at_source, at_target), by_target > 0);
                if by_target > 0 {
                    taken.push(now);
                    prop_assert_eq!(anchors.as_slice()[0], now);
                }
                let held = anchors.as_slice();
                prop_assert!(held.len() <= MAX_ANCHORS && held.len() == taken.len().min(MAX_ANCHORS));
                prop_assert!(held.is_sorted_by(|a, b| a.target > b.target && a.source >= b.source));
                prop_assert_eq!(held.last(), Some(&Anchor { source, target }));
                prop_assert!(held.iter().all(|anchor| taken.contains(anchor)));
            }
        }

        #[test]
        fn the_answer_is_the_newest_not_above((source, target, steps) in steps(), ask in 0..10_000_000_i64) {
            let mut anchors = Anchors::starting_at(source, target);
            let (mut at_source, mut at_target) = (source, target);
            for (by_source, by_target) in steps {
                at_source += by_source;
                at_target += by_target;
                anchors.push(at_source, at_target);
            }
            let answer = anchors.at_or_before_target(ask);
            prop_assert_eq!(answer.is_none(), ask < target);
            if let Some(answer) = answer {
                prop_assert!(answer.target <= ask);
                prop_assert!(anchors.as_slice().iter().all(|a| a.target > ask || a.target <= answer.target));
            }
            anchors.forget_above_target(ask);
            prop_assert_eq!(anchors.as_slice().first().copied(), answer);
        }

        #[test]
        fn stored_anchors_come_back((source, target, steps) in steps()) {
            let mut anchors = Anchors::starting_at(source, target);
            for (by_source, by_target) in steps {
                let newest = anchors.as_slice()[0];
                anchors.push(newest.source + by_source, newest.target + by_target);
            }
            let json = serde_json::to_string(&anchors).unwrap();
            prop_assert_eq!(serde_json::from_str::<Anchors>(&json).unwrap(), anchors);
        }
    }

    /// Going back must not cost much more than what was lost: steps back grow by a bounded factor.
    #[test]
    fn spacing_is_exponential() {
        let mut anchors = Anchors::starting_at(0, 0);
        for now in 1..=100_000_i64 {
            anchors.push(now, now);
            let back: Vec<i64> = anchors.as_slice().iter().map(|anchor| now - anchor.target).collect();
            for pair in back[1..].windows(2) {
                assert!(pair[1] <= pair[0] * 6, "at {now}: {back:?}");
            }
            assert!(back.get(1).is_none_or(|first| *first <= 6), "at {now}: {back:?}");
        }
    }

    #[test]
    fn a_step_back_is_not_taken() {
        let mut anchors = Anchors::starting_at(100, 50);
        assert!(!anchors.push(90, 60) && !anchors.push(110, 50) && !anchors.push(110, 40));
        assert_eq!(anchors, Anchors::starting_at(100, 50));
        assert!(anchors.push(100, 60), "only the target moved on: foreign records");
    }

    #[test]
    fn the_ends_of_the_offset_range_do_not_overflow() {
        let mut anchors = Anchors::starting_at(0, 0);
        for index in (0..40).rev() {
            anchors.push(i64::MAX - index, i64::MAX - index);
        }
        assert_eq!(anchors.as_slice().len(), MAX_ANCHORS);
        assert_eq!(
            anchors.at_or_before_target(i64::MAX),
            Some(Anchor { source: i64::MAX, target: i64::MAX })
        );
        assert_eq!(anchors.at_or_before_target(5), Some(Anchor { source: 0, target: 0 }));
    }

    #[test]
    fn damaged_anchors_are_refused() {
        let read = |json: &str| serde_json::from_str::<Anchors>(json).map_err(|error| error.to_string());
        assert!(read(r#"[{"source":1,"target":1},{"source":2,"target":0}]"#).unwrap_err().contains("order"));
        assert!(read(r#"[{"source":1,"target":1},{"source":1,"target":1}]"#).unwrap_err().contains("order"));
        assert!(read(r#"[{"source":1,"target":-1}]"#).unwrap_err().contains("negative"));
        let many: Vec<Anchor> = (0..17).rev().map(|at| Anchor { source: at, target: at }).collect();
        let json = serde_json::to_string(&many).unwrap();
        assert!(read(&json).unwrap_err().contains("more anchors"));
        assert_eq!(read("[]"), Ok(Anchors::default()));
    }
}
