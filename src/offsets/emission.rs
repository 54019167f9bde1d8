//! When a group's checkpoint is due: MirrorMaker 2's rule, which keeps readers of the topic from being sent back.

use super::Translation;

/// What the last checkpoint of a group's partition said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The group's committed offset on the source.
    pub upstream: i64,
    /// The offset on the target that it was translated to.
    pub downstream: i64,
}

/// The checkpoint to write now, if one is due.
///
/// As MirrorMaker 2 (KIP-382, `MirrorCheckpointTask`): the first, one whose group went back, one whose translation is
/// ahead of the last. What repeats or falls behind is left out: right after a restart a map may know a little less than
/// before. One thing MirrorMaker 2 can't tell is told here: an *exact* answer behind the last one means that the target
/// has another log than then (re-created, or its end was lost), and the old checkpoint would skip records.
pub fn due(last: Option<Emitted>, upstream: i64, translation: Translation) -> Option<Emitted> {
    let downstream = translation.offset()?;
    let now = Emitted { upstream, downstream };
    let Some(last) = last else { return Some(now) };
    let went_back = upstream < last.upstream;
    let is_ahead = downstream > last.downstream;
    let is_another_log = downstream < last.downstream && matches!(translation, Translation::Exact(_));
    (went_back || is_ahead || is_another_log).then_some(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Translation::{EarliestSafe, Exact, Unknown};
    use super::*;

    fn said(upstream: i64, downstream: i64) -> Option<Emitted> {
        Some(Emitted { upstream, downstream })
    }

    #[test]
    fn the_first_is_written_if_there_is_an_answer() {
        assert_eq!(due(None, 10, Exact(7)), said(10, 7));
        assert_eq!(due(None, 10, EarliestSafe(5)), said(10, 5));
        assert_eq!(due(None, 10, Unknown), None);
        assert_eq!(due(said(20, 20), 10, Unknown), None);
    }

    /// MirrorMaker 2's own test: behind a checkpoint of 250, 201 is left out; a group that goes back is followed.
    #[test]
    fn only_progress_and_rewinds_are_written() {
        let last = said(300, 250);
        assert_eq!(due(last, 300, EarliestSafe(201)), None);
        assert_eq!(due(last, 310, EarliestSafe(201)), None);
        assert_eq!(due(last, 300, EarliestSafe(250)), None);
        assert_eq!(due(last, 300, Exact(250)), None);
        assert_eq!(due(last, 310, Exact(250)), None);
        assert_eq!(due(last, 310, Exact(260)), said(310, 260));
        assert_eq!(due(last, 300, EarliestSafe(251)), said(300, 251));
        assert_eq!(due(last, 299, Exact(249)), said(299, 249));
        assert_eq!(due(last, 200, EarliestSafe(100)), said(200, 100));
    }

    #[test]
    fn an_exact_answer_behind_the_last_speaks_of_another_log() {
        assert_eq!(due(said(300, 250), 300, Exact(40)), said(300, 40));
        assert_eq!(due(said(300, 250), 310, Exact(50)), said(310, 50));
    }

    proptest! {
        /// While the group doesn't go back and the target keeps its log, what is written only rises.
        #[test]
        fn is_monotonic(answers in prop::collection::vec((0i64..50, 0i64..100, any::<bool>()), 1..60)) {
            let mut last = None;
            let (mut upstream, mut exact_at) = (0, 0);
            for (step, offset, exact) in answers {
                upstream += step;
                // Exact answers of one log rise with the group; safe ones may lie anywhere before.
                exact_at += step;
                let translation = if exact { Exact(exact_at) } else { EarliestSafe(offset.min(exact_at)) };
                if let Some(now) = due(last, upstream, translation) {
                    prop_assert!(last.is_none_or(|last| now.downstream > last.downstream));
                    last = Some(now);
                }
            }
        }
    }
}
