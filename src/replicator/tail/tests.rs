//! Tests of digests and matching.

use proptest::prelude::*;

use super::*;

type HeaderText<'a> = (&'a [u8], Option<&'a [u8]>);

fn content(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderText<'_>]) -> u128 {
    RecordDigest::of(0, 0, key, value, headers.iter().copied()).content
}

/// A record whose content and time are named by numbers.
fn record(offset: i64, value: u64) -> RecordDigest {
    keyed(offset, value, value)
}

fn keyed(offset: i64, key: u64, value: u64) -> RecordDigest {
    let (key, value) = (key.to_be_bytes(), value.to_be_bytes());
    RecordDigest::of(offset, 1000, Some(&key), Some(&value), std::iter::empty())
}

fn log(values: &[u64]) -> Vec<RecordDigest> {
    values.iter().enumerate().map(|(offset, &value)| record(offset as i64, value)).collect()
}

fn plan(source_from: i64, target: (i64, i64), unreadable: u64) -> TailPlan {
    let (target_from, target_to) = target;
    TailPlan { source_from, source_to: i64::MAX, target_from, target_to, unreadable, countable: true }
}

/// Feeds a matcher with one record at a time, as it asks for them.
fn feed(plan: TailPlan, rules: MatchRules, source: &[RecordDigest], target: &[RecordDigest]) -> TailMatch {
    let mut matcher = TailMatcher::new(plan, rules);
    let (mut source, mut target) = (source.chunks(1), target.chunks(1));
    loop {
        match matcher.wants() {
            TailNeed::Nothing => return matcher.finish(),
            TailNeed::Source => match source.next() {
                Some(records) => matcher.source(records),
                None => matcher.source_end(),
            },
            TailNeed::Target => match target.next() {
                Some(records) => matcher.target(records),
                None => matcher.target_end(),
            },
        }
    }
}

#[test]
fn digests_tell_fields_apart() {
    let name: &[u8] = b"h";
    let different = [
        content(None, None, &[]),
        content(Some(b""), None, &[]),
        content(None, Some(b""), &[]),
        content(Some(b""), Some(b""), &[]),
        content(Some(b"ab"), Some(b"c"), &[]),
        content(Some(b"a"), Some(b"bc"), &[]),
        content(None, None, &[(name, None)]),
        content(None, None, &[(name, Some(b""))]),
        content(None, None, &[(name, None), (name, None)]),
        content(None, None, &[(name, None), (b"i", None)]),
        content(None, None, &[(b"i", None), (name, None)]),
        content(None, Some(b"h"), &[]),
    ];
    for (at, one) in different.iter().enumerate() {
        assert!(!different[..at].contains(one), "number {at} has the digest of another record");
    }
}

#[test]
fn a_digest_keeps_the_time_out_of_the_content() {
    let one = RecordDigest::of(1, 5, Some(b"k"), None, std::iter::empty());
    let other = RecordDigest::of(2, 6, Some(b"k"), Some(b"v"), std::iter::empty());
    assert_eq!((one.offset, one.timestamp_ms, one.key), (1, 5, other.key));
    assert_eq!(one.content, content(Some(b"k"), None, &[]));
    assert_ne!(one.content, other.content);
}

#[test]
fn a_prefix_is_found() {
    let found = match_tail(&log(&[1, 2, 3, 4]), &log(&[1, 2]), MatchRules::default());
    assert_eq!(found.source_next, Some(2));
    assert_eq!(found.pairs, [Segment { source_base: 0, target_base: 0, count: 2 }]);
    assert_eq!((found.matched_records, found.foreign.len(), found.target_matched), (2, 0, Some(2)));
}

#[test]
fn foreign_records_are_passed_over_and_move_nothing() {
    let found = match_tail(&log(&[1, 2, 3]), &log(&[90, 1, 91, 92, 2, 93]), MatchRules::default());
    assert_eq!(found.source_next, Some(2));
    assert_eq!(found.foreign, [(0, 1), (2, 4), (5, 6)]);
    let (one, two) = (Segment { source_base: 0, target_base: 1, count: 1 }, (1, 4));
    assert_eq!(found.pairs, [one, Segment { source_base: two.0, target_base: two.1, count: 1 }]);
}

#[test]
fn a_record_compacted_away_on_the_source_loses_nothing() {
    let source = [record(0, 1), record(2, 3), record(3, 4)];
    let found = match_tail(&source, &log(&[1, 2, 3]), MatchRules::default());
    assert_eq!((found.source_next, found.foreign), (Some(3), vec![(1, 2)]));
}

#[test]
fn nothing_behind_a_missing_record_counts() {
    let found = match_tail(&log(&[1, 2, 3]), &log(&[1, 3]), MatchRules::default());
    assert_eq!((found.source_next, found.foreign), (Some(1), vec![(1, 2)]));
}

#[test]
fn a_tail_longer_than_the_source_is_foreign_to_its_end() {
    let target = log(&[1, 8, 9]);
    let found = feed(plan(0, (0, 7), 0), MatchRules::default(), &log(&[1]), &target);
    assert_eq!((found.source_next, found.foreign), (Some(1), vec![(1, 7)]));
}

#[test]
fn timestamps_compare_as_clients_and_topics_change_them() {
    let at = |timestamp_ms| RecordDigest { timestamp_ms, ..record(0, 1) };
    let same = |source, target, append_time| {
        let rules = MatchRules { target_append_time: append_time, target_compacted: false };
        match_tail(&[at(source)], &[at(target)], rules).matched_records == 1
    };
    assert!(same(5, 5, false) && !same(5, 6, false) && same(5, 6, true));
    assert!(same(0, 1, false) && same(0, 0, false) && !same(0, 2, false) && !same(1, 0, false));
    assert!(same(-1, 1_700_000_000_000, false));
}

#[test]
fn only_a_compacted_target_may_lack_a_superseded_copy() {
    let source = [keyed(0, 1, 10), keyed(1, 2, 20), keyed(2, 1, 11), keyed(3, 3, 30)];
    let target = [keyed(1, 2, 20), keyed(2, 1, 11)];
    let compacted = MatchRules { target_compacted: true, ..MatchRules::default() };
    let found = match_tail(&source, &target, compacted);
    assert_eq!((found.source_next, found.matched_records, found.foreign.len()), (Some(3), 2, 0));
    assert_eq!(match_tail(&source, &target, MatchRules::default()).source_next, None);
    // Its key does not come again: it was never written.
    assert_eq!(match_tail(&source, &target[..1], compacted).source_next, None);
}

#[test]
fn a_compacted_target_passes_foreign_records_too() {
    let source = [keyed(0, 1, 10), keyed(1, 2, 20), keyed(2, 2, 21)];
    let target = [keyed(0, 7, 70), keyed(1, 1, 10), keyed(2, 2, 20), keyed(3, 2, 21)];
    let compacted = MatchRules { target_compacted: true, ..MatchRules::default() };
    let found = match_tail(&source, &target, compacted);
    assert_eq!((found.source_next, found.foreign), (Some(3), vec![(0, 1)]));
}

#[test]
fn a_long_tail_of_a_compacted_target_is_matched_strictly() {
    let values: Vec<u64> = (0..MAX_LOOK_AHEAD_RECORDS as u64 + 2).collect();
    let source: Vec<_> = values.iter().map(|&value| keyed(value as i64, value % 2, value)).collect();
    let compacted = MatchRules { target_compacted: true, ..MatchRules::default() };
    let all = values.len() as i64;
    assert_eq!(match_tail(&source, &source, compacted).source_next, Some(all));
    assert_eq!(match_tail(&source, &source[1..], compacted).source_next, None);
}

#[test]
fn what_expired_on_the_target_is_counted_if_nothing_speaks_against_it() {
    let source = log(&[0, 1, 2, 3, 4, 5]);
    let counted = |source: &[RecordDigest], from, to: i64, target: &[RecordDigest]| {
        let found = feed(plan(0, (from, to), from as u64), MatchRules::default(), source, target);
        (found.source_next, found.counted_records)
    };
    assert_eq!(counted(&source, 3, 3, &[]), (Some(3), 3), "all has expired");
    assert_eq!(counted(&source, 2, 4, &source[2..4]), (Some(4), 2), "the rest agrees");
    assert_eq!(counted(&source, 2, 4, &[record(2, 80), record(3, 81)]), (None, 0), "the rest contradicts");
    let with_gap = [source[0], source[2], source[3], source[4]];
    assert_eq!(counted(&with_gap, 3, 3, &[]), (None, 0), "a gap may be a record that was there");
    assert_eq!(counted(&source[..2], 3, 3, &[]), (None, 0), "there are not so many");
    assert_eq!(counted(&with_gap, 3, 4, &source[3..4]), (Some(4), 2), "a later copy shows those before it");
    let mut doubtful = plan(0, (3, 3), 3);
    doubtful.countable = false;
    assert_eq!(feed(doubtful, MatchRules::default(), &source, &[]).source_next, None);
}

proptest! {
    /// R1 and R3 of the tail: whatever is compacted away on the source, and whatever foreign records come between,
    /// mirroring goes on at the first record that was never written.
    #[test]
    fn goes_on_at_the_first_record_that_is_not_there(
        gone in proptest::collection::vec(any::<bool>(), 1..40),
        written in 0..40_usize,
        foreign in proptest::collection::vec(any::<bool>(), 40),
        by_one in any::<bool>(),
    ) {
        let written = written.min(gone.len());
        let all: Vec<u64> = (0..gone.len() as u64).collect();
        let source: Vec<_> =
            log(&all).into_iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(record, _)| record).collect();
        let mut target = Vec::new();
        for (value, foreign) in foreign.iter().enumerate().take(written) {
            if *foreign {
                target.push(1_000 + value as u64);
            }
            target.push(value as u64);
        }
        let target = log(&target);
        let to = target.len() as i64;
        let found = if by_one {
            feed(plan(0, (0, to), 0), MatchRules::default(), &source, &target)
        } else {
            match_tail(&source, &target, MatchRules::default())
        };
        let last = (0..written).rev().find(|&at| !gone[at]);
        prop_assert_eq!(found.source_next, last.map(|at| at as i64 + 1));
        prop_assert_eq!(found.matched_records as usize, gone[..written].iter().filter(|gone| !**gone).count());
        let passed: i64 = found.foreign.iter().map(|(from, to)| to - from).sum();
        prop_assert_eq!(passed + found.matched_records as i64, to);
        for pair in &found.pairs {
            for step in 0..i64::from(pair.count) {
                let at = |log: &[RecordDigest], offset| log.iter().find(|r| r.offset == offset).map(|r| r.content);
                let source = at(&source, pair.source_base + step);
                prop_assert!(source.is_some());
                prop_assert_eq!(source, at(&target, pair.target_base + step));
            }
        }
    }
}
