//! What the map's answers are held against.

use std::collections::BTreeMap;

use super::world::MapWorld;
use crate::offsets::{OffsetMap, Translation};

/// Nobody who follows the map's answers misses a record.
pub(super) fn check_safety(world: &MapWorld, map: &OffsetMap) {
    let copies = world.copies();
    // Where records were written again, older copies don't count: not those that will be written again next, nor those
    // of records that can't, because the source has them no more.
    let counts = |source: i64| world.straight || source < map.source_next() && world.is_on_source(source);
    let (source_end, target_end) = world.ends();
    let mut last = -1;
    for source in 0..=source_end + 2 {
        let answer = map.forward(source);
        let unread = copies.range(source..).filter(|(source, _)| counts(**source));
        let first = unread.map(|(_, (_, newest))| *newest).min().unwrap_or(i64::MAX);
        let offset = known(answer, source, map.origin.source, map.origin.target);
        assert!(
            offset <= first,
            "source {source}: {answer:?}, but a record at {first} was not read: {map:?}"
        );
        assert!(
            offset <= target_end,
            "source {source}: {answer:?}, but the target ends at {target_end}: {map:?}"
        );
        assert!(offset >= last, "source {source}: {answer:?} after {last}: {map:?}");
        last = offset;
        if let Translation::Exact(offset) = answer
            && world.straight
        {
            let read = copies.range(..source).map(|(_, (oldest, _))| *oldest).max().unwrap_or(-1);
            assert!(read < offset, "source {source}: {answer:?}, but {read} was read: {map:?}");
        }
    }
    let mut last = -1;
    for target in 0..=target_end + 2 {
        let answer = map.backward(target);
        let unread = |&(source, (oldest, _)): &(&i64, &(i64, i64))| counts(*source) && *oldest >= target;
        let first = copies.iter().filter(unread).map(|(source, _)| *source).min().unwrap_or(i64::MAX);
        let first = first.min(map.source_next());
        let offset = known(answer, target, map.origin.target, map.origin.source);
        assert!(offset <= first, "target {target}: {answer:?}, but record {first} was not read: {map:?}");
        assert!(offset >= last, "target {target}: {answer:?} after {last}: {map:?}");
        last = offset;
        if let Translation::Exact(offset) = answer
            && world.straight
        {
            let read =
                copies.iter().filter(|(_, (oldest, _))| *oldest < target).map(|(source, _)| *source).max();
            assert!(read < Some(offset), "target {target}: {answer:?}, but {read:?} was read: {map:?}");
        }
    }
}

/// The map knows all that it was told, and nobody who follows its answers misses a record.
pub(super) fn check(world: &MapWorld) {
    let map = &world.map;
    check_safety(world, map);
    let knows = |source: i64, target: i64| source >= map.begin.source && target >= map.begin.target;
    for (&source, &target) in world.told.iter().filter(|(source, target)| knows(**source, **target)) {
        let Translation::Exact(offset) = map.forward(source) else {
            panic!("source {source} is at {target}: {:?}, {map:?}", map.forward(source));
        };
        assert!(world.same(source, offset), "source {source}: {offset} is no copy: {map:?}");
        let Translation::Exact(offset) = map.backward(target) else {
            panic!("target {target} is of {source}: {:?}, {map:?}", map.backward(target));
        };
        assert!(world.same(offset, target), "target {target}: it is no copy of {offset}: {map:?}");
    }
    check_rising(world);
    // Nothing but copies on the target: then no answer may be less than exact.
    let copied: BTreeMap<i64, i64> = world.told.iter().map(|(&source, &target)| (target, source)).collect();
    if (map.begin.target..map.target_next()).all(|target| copied.contains_key(&target)) {
        for source in map.begin.source..=map.source_next() {
            let answer = map.forward(source);
            assert!(matches!(answer, Translation::Exact(_)), "source {source}: {answer:?}: {map:?}");
        }
    }
    let counted: u64 = map.intervals().count() as u64;
    assert_eq!(counted, map.interval_count());
}

/// The answer's offset; below everything if there is none, which is right only for what came before the map.
fn known(answer: Translation, asked: i64, origin: i64, other: i64) -> i64 {
    answer.offset().unwrap_or_else(|| {
        assert!(asked < origin && other > 0, "{asked}: unknown, though the map began at {origin}");
        -1
    })
}

/// Intervals rise on both sides, and none could be one with the next.
fn check_rising(world: &MapWorld) {
    let map = &world.map;
    let mut end = (map.begin.source, map.begin.target);
    let mut first = true;
    for interval in map.intervals() {
        assert!(
            interval.count > 0 && interval.source_base >= end.0 && interval.target_base >= end.1,
            "{map:?}"
        );
        assert!(first || (interval.source_base, interval.target_base) != end, "two that are one: {map:?}");
        end = (interval.source_next(), interval.target_next());
        first = false;
    }
    assert!(end.0 <= map.source_next() && end.1 <= map.target_next(), "{map:?}");
    let kept_pairs = map.kept_pairs.as_slice().iter().copied();
    let places: Vec<_> = [map.origin].into_iter().chain(kept_pairs).chain([map.begin]).collect();
    assert!(places.is_sorted_by(|a, b| a.is_within(*b)), "{map:?}");
}
