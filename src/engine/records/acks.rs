//! From delivery reports to acknowledged batches.
//!
//! librdkafka reports every record by itself, in the order in which the records of a partition were given to it. An
//! [`AckRun`] folds the reports of one batch into segments; nothing is allocated per record.

use rdkafka::types::RDKafkaErrorCode;

use crate::model::Segment;

/// The source offsets of a batch, as runs of consecutive ones: (first offset, count).
#[derive(Debug, Default)]
pub(super) struct SourceRuns {
    runs: Vec<(i64, u32)>,
}

impl SourceRuns {
    /// Appends an offset, which is above all before it.
    pub(super) fn push(&mut self, offset: i64) {
        match self.runs.last_mut() {
            Some((base, count)) if *base + i64::from(*count) == offset => *count += 1,
            _ => self.runs.push((offset, 1)),
        }
    }
}

impl FromIterator<i64> for SourceRuns {
    fn from_iter<T: IntoIterator<Item = i64>>(offsets: T) -> Self {
        let mut runs = Self::default();
        offsets.into_iter().for_each(|offset| runs.push(offset));
        runs
    }
}

/// Why a record of a batch did not certainly arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AckFailure {
    /// The client reports this.
    Refused(RDKafkaErrorCode),
    /// It arrived, but its offset isn't known, or it makes no sense.
    Offset(i64),
}

/// The delivery reports of one batch.
#[derive(Debug, Default)]
pub(super) struct AckRun {
    sources: SourceRuns,
    /// Run and place in it of the next record to be reported.
    at: (usize, u32),
    reported: u32,
    segments: Vec<Segment>,
    failure: Option<(i64, AckFailure)>,
}

impl AckRun {
    /// Waits for the reports of these records.
    pub(super) fn new(sources: SourceRuns) -> Self {
        Self { sources, ..Self::default() }
    }

    fn next_source(&mut self) -> Option<i64> {
        let (run, place) = self.at;
        let (base, count) = *self.sources.runs.get(run)?;
        self.at = if place + 1 == count { (run + 1, 0) } else { (run, place + 1) };
        Some(base + i64::from(place))
    }

    /// Takes the report of the next record: the target offset, or why there is none.
    pub(super) fn report(&mut self, result: Result<i64, RDKafkaErrorCode>) {
        let Some(source) = self.next_source() else { return };
        self.reported += 1;
        if self.failure.is_some() {
            return;
        }
        let failure = match result {
            Ok(target) if target >= self.segments.last().map_or(0, Segment::target_next) => {
                match self.segments.last_mut() {
                    Some(last) if last.source_next() == source && last.target_next() == target => {
                        last.count += 1;
                    }
                    _ => self.segments.push(Segment { source_base: source, target_base: target, count: 1 }),
                }
                return;
            }
            Ok(target) => AckFailure::Offset(target),
            Err(code) => AckFailure::Refused(code),
        };
        self.failure = Some((source, failure));
    }

    /// Source offset of the record at `index`.
    pub(super) fn source_at(&self, index: u32) -> Option<i64> {
        let mut before = 0;
        for (base, count) in &self.sources.runs {
            if index < before + count {
                return Some(base + i64::from(index - before));
            }
            before += count;
        }
        None
    }

    /// How many records were reported.
    pub(super) fn reported(&self) -> u32 {
        self.reported
    }

    /// The first failure and its source offset.
    pub(super) fn failure(&self) -> Option<&(i64, AckFailure)> {
        self.failure.as_ref()
    }

    /// The segments, all reports being in.
    pub(super) fn take_segments(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.segments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gapless_batch_is_one_segment() {
        let mut run = AckRun::new((10..15).collect());
        (100..105).for_each(|target| run.report(Ok(target)));
        assert_eq!(run.reported(), 5);
        assert_eq!(run.take_segments(), [Segment { source_base: 10, target_base: 100, count: 5 }]);
    }

    #[test]
    fn gaps_on_either_side_start_a_segment() {
        let mut run = AckRun::new([1, 2, 5, 6].into_iter().collect());
        for target in [7, 8, 9, 20] {
            run.report(Ok(target));
        }
        assert_eq!(
            run.take_segments(),
            [
                Segment { source_base: 1, target_base: 7, count: 2 },
                Segment { source_base: 5, target_base: 9, count: 1 },
                Segment { source_base: 6, target_base: 20, count: 1 },
            ]
        );
    }

    #[test]
    fn the_first_failure_is_kept_with_its_source_offset() {
        let mut run = AckRun::new([4, 5, 9].into_iter().collect());
        run.report(Ok(1));
        run.report(Err(RDKafkaErrorCode::TopicAuthorizationFailed));
        run.report(Err(RDKafkaErrorCode::Fatal));
        let refused = AckFailure::Refused(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(run.failure(), Some(&(5, refused)));
        assert_eq!(run.reported(), 3);
    }

    #[test]
    fn an_offset_that_is_unknown_or_goes_back_is_a_failure() {
        let mut run = AckRun::new((0..2).collect());
        run.report(Ok(-1001));
        assert_eq!(run.failure(), Some(&(0, AckFailure::Offset(-1001))));
        let mut run = AckRun::new((0..2).collect());
        run.report(Ok(8));
        run.report(Ok(8));
        assert_eq!(run.failure(), Some(&(1, AckFailure::Offset(8))));
    }

    #[test]
    fn a_record_is_found_by_its_place() {
        let run = AckRun::new([3, 4, 9].into_iter().collect());
        assert_eq!(
            (0..4).map(|index| run.source_at(index)).collect::<Vec<_>>(),
            [Some(3), Some(4), Some(9), None]
        );
    }

    proptest! {
        /// Expanded again, the segments are exactly the pairs that were reported, and no two could be one.
        #[test]
        fn segments_are_the_pairs(gaps in prop::collection::vec((1..4i64, 1..3i64), 1..100)) {
            let (mut source, mut target) = (0, 0);
            let pairs: Vec<(i64, i64)> = gaps.iter().map(|(s, t)| {
                source += s;
                target += t;
                (source, target)
            }).collect();
            let mut run = AckRun::new(pairs.iter().map(|(source, _)| *source).collect());
            pairs.iter().for_each(|(_, target)| run.report(Ok(*target)));
            let segments = run.take_segments();
            let expanded: Vec<_> = segments.iter()
                .flat_map(|s| (0..i64::from(s.count)).map(|i| (s.source_base + i, s.target_base + i)))
                .collect();
            prop_assert_eq!(expanded, pairs);
            for pair in segments.windows(2) {
                prop_assert!(pair[0].source_next() != pair[1].source_base
                    || pair[0].target_next() != pair[1].target_base);
            }
        }
    }
}
