//! The rules one by one, on maps that fit on a line; and memory.

use std::sync::Arc;

use crate::model::{Segment, TopicId};
use crate::offsets::Translation::{EarliestSafe, Exact, Unknown};
use crate::offsets::{Interval, MapBudget, MapIdentity, OffsetMap, Translation};

fn identity() -> MapIdentity {
    MapIdentity {
        source_topic_id: TopicId::default(),
        remote_topic: "east.t".into(),
        target_topic_id: TopicId::default(),
    }
}

fn segment((source_base, target_base, count): (i64, i64, u32)) -> Segment {
    Segment { source_base, target_base, count }
}

fn map(begin: (i64, i64), runs: &[(i64, i64, u32)]) -> OffsetMap {
    let mut map = OffsetMap::new(identity(), begin.0, begin.1);
    for &run in runs {
        map.acknowledged(&[segment(run)], segment(run).source_next());
    }
    map
}

fn forward<const N: usize>(map: &OffsetMap, asked: [i64; N]) -> [Translation; N] {
    asked.map(|source| map.forward(source))
}

fn backward<const N: usize>(map: &OffsetMap, asked: [i64; N]) -> [Translation; N] {
    asked.map(|target| map.backward(target))
}

#[test]
fn a_gapless_log_is_exact_to_its_end_and_safe_behind_it() {
    let map = map((0, 0), &[(0, 0, 5), (5, 5, 5)]);
    assert_eq!(map.intervals().collect::<Vec<_>>(), [Interval { source_base: 0, target_base: 0, count: 10 }]);
    assert_eq!(forward(&map, [0, 9, 10, 11]), [Exact(0), Exact(9), Exact(10), EarliestSafe(10)]);
    assert_eq!(backward(&map, [0, 9, 10, 11]), [Exact(0), Exact(9), Exact(10), EarliestSafe(10)]);
}

#[test]
fn an_empty_partition_is_exact() {
    let mut map = map((0, 0), &[]);
    assert_eq!((map.forward(0), map.backward(0)), (Exact(0), Exact(0)));
    map.acknowledged(&[], 100);
    assert_eq!(forward(&map, [0, 50, 100, 101]), [Exact(0), Exact(0), Exact(0), EarliestSafe(0)]);
    assert_eq!(backward(&map, [0, 1]), [Exact(100), EarliestSafe(100)]);
}

#[test]
fn offsets_without_records_lead_to_the_next_copy() {
    let mut map = map((0, 0), &[(0, 0, 5), (8, 5, 2)]);
    map.acknowledged(&[], 12);
    assert_eq!(forward(&map, [4, 5, 7, 8, 10, 12]), [4, 5, 5, 5, 7, 7].map(Exact));
    assert_eq!(backward(&map, [4, 5, 6, 7]), [4, 8, 9, 12].map(Exact));
}

#[test]
fn what_lies_between_two_runs_on_the_target_is_not_passed() {
    let map = map((0, 0), &[(0, 0, 5), (8, 9, 2)]);
    assert_eq!(forward(&map, [5, 6, 7, 8]), [Exact(5), EarliestSafe(5), EarliestSafe(5), Exact(9)]);
    assert_eq!(backward(&map, [5, 6, 8, 9]), [Exact(5), EarliestSafe(5), EarliestSafe(5), Exact(8)]);
}

#[test]
fn before_the_map_began_nothing_is_known_unless_nothing_was_there() {
    let late = map((100, 50), &[(100, 50, 10)]);
    assert_eq!(forward(&late, [99, 100]), [Unknown, Exact(50)]);
    assert_eq!(backward(&late, [49, 50]), [Unknown, Exact(100)]);
    let empty_target = map((100, 0), &[(100, 0, 10)]);
    assert_eq!((empty_target.forward(99), empty_target.backward(0)), (EarliestSafe(0), Exact(100)));
    let whole_source = map((0, 50), &[(0, 50, 10)]);
    assert_eq!((whole_source.forward(0), whole_source.backward(49)), (Exact(50), EarliestSafe(0)));
}

#[test]
fn a_truncated_source_takes_the_newest_copy() {
    let mut map = map((0, 0), &[(0, 0, 10)]);
    map.resume(&identity(), 5, 10, &[]);
    assert_eq!(forward(&map, [4, 5, 7]), [Exact(4), Exact(5), EarliestSafe(5)]);
    map.acknowledged(&[segment((5, 10, 3))], 8);
    assert_eq!(forward(&map, [4, 5, 7, 9]), [Exact(4), Exact(10), Exact(12), EarliestSafe(13)]);
    assert_eq!(backward(&map, [4, 7, 10]), [Exact(4), EarliestSafe(5), Exact(5)]);
}

#[test]
fn a_target_that_lost_its_end_is_cut_there() {
    let mut map = map((0, 0), &[(0, 0, 10)]);
    map.resume(&identity(), 10, 7, &[]);
    assert_eq!(forward(&map, [6, 8, 10]), [Exact(6), Exact(7), Exact(7)]);
    map.acknowledged(&[segment((10, 7, 3))], 13);
    assert_eq!(forward(&map, [9, 10]), [Exact(7), Exact(7)]);
}

/// The log before the begin is another one, or will be written again: the begin moves down with it.
#[test]
fn going_back_to_before_the_begin_moves_it() {
    let mut map = map((100, 50), &[(100, 50, 10)]);
    map.resume(&identity(), 80, 60, &[]);
    assert_eq!(forward(&map, [79, 80]), [Unknown, EarliestSafe(50)]);
    assert_eq!(backward(&map, [49, 55]), [Unknown, EarliestSafe(80)]);
    map.acknowledged(&[segment((80, 60, 30))], 110);
    assert_eq!(forward(&map, [79, 80, 109]), [Unknown, Exact(60), Exact(89)]);
    assert_eq!(backward(&map, [59, 60, 65]), [EarliestSafe(80), Exact(80), Exact(85)]);
    map.resume(&identity(), 110, 0, &[]);
    assert_eq!(forward(&map, [79, 90, 110]), [EarliestSafe(0), Exact(0), Exact(0)]);
}

#[test]
fn a_matched_tail_counts_more_than_what_was_known() {
    let mut known = map((0, 0), &[(0, 0, 10)]);
    known.resume(&identity(), 9, 12, &[segment((5, 5, 2)), segment((7, 8, 2))]);
    assert_eq!(forward(&known, [4, 6, 7, 8, 9]), [4, 6, 8, 9, 10].map(Exact));
    let before = map((0, 0), &[(0, 0, 5), (8, 5, 5)]);
    let mut map = before.clone();
    map.take_changes();
    map.changes_saved();
    map.resume(&identity(), 13, 10, &[segment((9, 6, 1)), segment((12, 9, 1))]);
    assert_eq!(map, before, "what was found is what was known");
    assert!(map.take_changes().is_empty());
}

#[test]
fn a_tail_that_was_only_counted_is_not_exact() {
    let mut map = map((0, 0), &[(0, 0, 5)]);
    map.resume(&identity(), 10, 10, &[]);
    assert_eq!(forward(&map, [5, 7, 10]), [Exact(5), EarliestSafe(5), EarliestSafe(5)]);
    assert_eq!(backward(&map, [5, 7, 10]), [Exact(5), EarliestSafe(5), Exact(10)]);
    map.acknowledged(&[segment((10, 10, 1))], 11);
    assert_eq!(forward(&map, [7, 10]), [EarliestSafe(5), Exact(10)]);
}

/// An engine never does it; if it did, the map must not answer from two histories.
#[test]
fn an_acknowledgement_that_goes_back_voids_what_lies_behind() {
    let mut source = map((0, 0), &[(0, 0, 10)]);
    source.acknowledged(&[segment((3, 10, 2))], 5);
    assert_eq!((source.source_next(), source.target_next()), (5, 12));
    assert_eq!(forward(&source, [2, 3, 7]), [Exact(2), Exact(10), EarliestSafe(12)]);
    let mut target = map((0, 0), &[(0, 0, 10)]);
    target.acknowledged(&[segment((10, 7, 2))], 12);
    assert_eq!(forward(&target, [6, 8, 11]), [Exact(6), Exact(7), Exact(8)]);
}

#[test]
fn a_segment_without_records_says_nothing() {
    let mut map = map((0, 0), &[(0, 0, 5)]);
    map.acknowledged(&[segment((2, 2, 0))], 5);
    assert_eq!((map.forward(5), map.interval_count()), (Exact(5), 1));
}

/// A map of so many single records with gaps on the source.
fn gaps(records: i64) -> OffsetMap {
    let mut map = map((0, 0), &[]);
    grow(&mut map, records);
    map
}

fn grow(map: &mut OffsetMap, records: i64) {
    for _ in 0..records {
        let (source, target) = (map.source_next() + 1, map.target_next());
        map.acknowledged(&[segment((source, target, 1))], source + 1);
    }
}

#[test]
fn trimming_takes_whole_chunks_and_makes_answers_early() {
    let mut map = gaps(512 * 3);
    map.trim(2 * 512 - 1);
    assert_eq!((map.interval_count(), map.forward(1)), (512 * 3, Exact(0)));
    map.trim(2 * 512 + 100);
    assert_eq!(map.interval_count(), 512 * 2);
    assert_eq!(
        forward(&map, [1, 1023, 1024, 1027]),
        [EarliestSafe(0), EarliestSafe(0), Exact(512), Exact(513)]
    );
    assert_eq!(backward(&map, [1, 511, 512]), [EarliestSafe(1), EarliestSafe(1), Exact(1025)]);
    map.trim(i64::MAX);
    assert_eq!((map.interval_count(), map.forward(2 * 1530 + 1)), (512, Exact(1530)));
    assert!(!map.shed(), "the open chunk stays");
}

/// Whoever is far behind reads at most as much again as lies between him and what is not forgotten.
#[test]
fn what_was_given_up_is_answered_from_nearby() {
    let whole = gaps(512 * 100);
    let mut map = whole.clone();
    while map.shed() {}
    assert_eq!(map.interval_count(), 512);
    let begin = (map.intervals().next().unwrap().source_base, map.intervals().next().unwrap().target_base);
    for target in (0..begin.1).step_by(101) {
        let Exact(source) = whole.backward(target) else { panic!("{target}: {:?}", whole.backward(target)) };
        let EarliestSafe(safe) = map.forward(source) else { panic!("{source}: {:?}", map.forward(source)) };
        assert!((target - (begin.1 - target) - 512..=target).contains(&safe), "{target}: {safe}");
        let EarliestSafe(safe) = map.backward(target) else { panic!("{target}: {:?}", map.backward(target)) };
        assert!((source - (begin.0 - source) - 1024..=source).contains(&safe), "{source}: {safe}");
    }
}

/// What is mirrored again lies elsewhere: what stood for it holds no more.
#[test]
fn going_back_into_what_was_forgotten_forgets_what_stood_for_it() {
    let mut map = gaps(512 * 4);
    while map.shed() {}
    assert_eq!(forward(&map, [1300, 2100]), [EarliestSafe(512), EarliestSafe(1024)]);
    map.resume(&identity(), 1500, 5000, &[]);
    assert_eq!(forward(&map, [1300, 1500, 2100]), [512, 1536, 1536].map(EarliestSafe));
    map.acknowledged(&[segment((1500, 5000, 700))], 2200);
    assert_eq!(forward(&map, [1300, 1500, 2100]), [EarliestSafe(512), Exact(5000), Exact(5600)]);
    assert_eq!(backward(&map, [700, 1200, 5000]), [EarliestSafe(1025), EarliestSafe(1025), Exact(1500)]);
}

#[test]
fn a_map_that_grows_over_the_budget_gives_up_its_own_oldest() {
    let other_bytes = gaps(512 * 8).memory_bytes();
    let budget = MapBudget::new(other_bytes * 3 / 2);
    let mut other = gaps(512 * 8);
    other.set_budget(Arc::clone(&budget));
    let mut growing = map((0, 0), &[]);
    growing.set_budget(Arc::clone(&budget));
    let mut shed = 0;
    for _ in 0..30 {
        grow(&mut growing, 512);
        shed += growing.take_shed();
        assert_eq!(budget.used_bytes(), other.memory_bytes() + growing.memory_bytes());
        assert!(budget.used_bytes() < budget.most_bytes() + 2 * (12 << 10) + (14 << 10));
    }
    assert!(shed > 0 && shed.is_multiple_of(512), "{shed}");
    assert_eq!(shed + growing.interval_count(), 30 * 512);
    assert_eq!((other.take_shed(), other.interval_count()), (0, 512 * 8));
    assert_eq!(growing.forward(1), EarliestSafe(0));
    assert_eq!(growing.forward(growing.source_next()), Exact(growing.target_next()));
    let copy = growing.clone();
    assert_eq!(budget.used_bytes(), other.memory_bytes() + 2 * growing.memory_bytes());
    drop((growing, copy));
    assert_eq!(budget.used_bytes(), other.memory_bytes());
    drop(other);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_map_that_is_too_large_for_the_budget_sheds_when_it_joins() {
    let mut map = gaps(512 * 40);
    let most = map.memory_bytes() / 2;
    let budget = MapBudget::new(most);
    map.set_budget(Arc::clone(&budget));
    assert!(!budget.is_overdrawn() && budget.used_bytes() == map.memory_bytes());
    assert!((1..40 * 512).contains(&map.take_shed()) && map.take_shed() == 0);
    let mut none = gaps(512 * 8);
    none.set_budget(MapBudget::new(0));
    assert_eq!(none.interval_count(), 512);
}
