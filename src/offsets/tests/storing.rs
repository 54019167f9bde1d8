//! The map as records: what they look like, what a crash leaves, and bytes that nobody wrote.

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use crate::formats::FormatError;
use crate::model::{Segment, TopicId};
use crate::offsets::{ChunkChange, MapIdentity, OffsetMap, Translation};

fn identity(source: u128, target: u128) -> MapIdentity {
    MapIdentity {
        source_topic_id: TopicId(Uuid::from_u128(source)),
        remote_topic: "e.t".into(),
        target_topic_id: TopicId(Uuid::from_u128(target)),
    }
}

/// A map of so many single records, each behind a gap of one on the source.
fn gaps(records: i64) -> OffsetMap {
    let mut map = OffsetMap::new(identity(1, 2), 0, 0);
    for record in 0..records {
        let segment = Segment { source_base: 2 * record, target_base: record, count: 1 };
        map.acknowledged(&[segment], segment.source_next());
    }
    map
}

/// What is stored once these changes are.
fn apply(stored: &mut Vec<(u64, Bytes)>, changes: Vec<ChunkChange>) {
    for change in changes {
        stored.retain(|(chunk, _)| *chunk != change.chunk());
        if let ChunkChange::Write { chunk, value } = change {
            stored.push((chunk, value.into()));
        }
    }
}

fn written(changes: &[ChunkChange]) -> Vec<(u64, bool)> {
    changes.iter().map(|change| (change.chunk(), matches!(change, ChunkChange::Write { .. }))).collect()
}

/// As it is stored: a byte that moves is lost to every older program.
const STORED: &[u8] = b"\x01\x00\x00\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\
    \x03e.t\
    \x0a\x05\x0a\x05\x97\x01\x6b\x0a\x05\
    \x02\
    \x00\x63\
    \x51\x01\x00";

#[test]
fn a_chunk_is_stored_as_it_always_was() {
    let mut map = OffsetMap::new(identity(1, 2), 10, 5);
    map.acknowledged(&[Segment { source_base: 10, target_base: 5, count: 100 }], 110);
    map.acknowledged(&[Segment { source_base: 150, target_base: 106, count: 1 }], 151);
    let changes = map.take_changes();
    let [ChunkChange::Write { chunk: 0, value }] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(value.escape_ascii().to_string(), STORED.escape_ascii().to_string());
    assert_eq!(OffsetMap::load([(0, Bytes::from_static(STORED))]).unwrap(), map);
}

/// With kept pairs, after two chunks were forgotten.
const STORED_WITH_KEPT_PAIRS: &[u8] = b"\x02\x00\x02\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\
    \x03e.t\
    \x0a\x05\x97\x01\x6b\xa4\x01\x6e\xa2\x01\x6c\
    \x02\x00\x00\x8c\x01\x65\
    \x01\
    \x00\x01";

#[test]
fn a_chunk_with_kept_pairs_is_stored_as_it_always_was() {
    let mut map = OffsetMap::new(identity(1, 2), 10, 5);
    map.chunks.full = 1;
    for (source_base, target_base, count) in [(10, 5, 100), (150, 106, 1), (162, 108, 2)] {
        let segment = Segment { source_base, target_base, count };
        map.acknowledged(&[segment], segment.source_next());
    }
    assert!(map.shed() && map.shed() && !map.shed());
    let changes = map.take_changes();
    let [ChunkChange::Write { chunk: 2, value }, ..] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(value.escape_ascii().to_string(), STORED_WITH_KEPT_PAIRS.escape_ascii().to_string());
    let loaded = OffsetMap::load([(2, Bytes::from_static(STORED_WITH_KEPT_PAIRS))]).unwrap();
    assert_eq!(loaded, map);
    assert_eq!(loaded.forward(155), Translation::EarliestSafe(107));
    assert_eq!(loaded.forward(150), Translation::EarliestSafe(106));
    assert_eq!(loaded.forward(149), Translation::EarliestSafe(5));
}

#[test]
fn chunks_are_sealed_at_512_intervals_and_only_what_changed_is_stored() {
    let mut map = gaps(512 * 3);
    assert_eq!(written(&map.take_changes()), [(0, true), (1, true), (2, true)]);
    map.changes_saved();
    assert_eq!(written(&map.take_changes()), []);
    map.acknowledged(&[], map.source_next());
    assert_eq!(written(&map.take_changes()), [], "nothing moved");
    map.acknowledged(&[], map.source_next() + 1);
    assert_eq!(written(&map.take_changes()), [(2, true)]);
    map.changes_failed();
    assert_eq!(written(&map.take_changes()), [(2, true)], "what failed is stored again");
    map.trim(2 * 512 - 1);
    assert_eq!(written(&map.take_changes()), [(2, true), (0, false)]);
    map.changes_failed();
    let (source, target) = (map.source_next() + 5, map.target_next());
    map.acknowledged(&[Segment { source_base: source, target_base: target, count: 1 }], source + 1);
    assert_eq!(written(&map.take_changes()), [(2, true), (3, true), (0, false)]);
}

#[test]
fn a_gapless_partition_costs_one_small_record() {
    let mut map = OffsetMap::new(identity(1, 2), 0, 0);
    for batch in 0..1000 {
        let at = batch * 1_000_000;
        map.acknowledged(&[Segment { source_base: at, target_base: at, count: 1_000_000 }], at + 1_000_000);
        let changes = map.take_changes();
        let [ChunkChange::Write { chunk: 0, value }] = changes.as_slice() else { panic!("{changes:?}") };
        assert!(value.len() < 80, "{} bytes", value.len());
        map.changes_saved();
    }
    assert_eq!(map.interval_count(), 1);
    assert!(map.memory_bytes() < 600, "{} bytes", map.memory_bytes());
}

#[test]
fn a_gap_takes_a_few_bytes() {
    let mut map = gaps(100_000);
    let per_gap = map.memory_bytes() as f64 / 100_000.0;
    assert!(per_gap < 2.8, "{per_gap} bytes of memory for each gap");
    let stored: usize = map
        .take_changes()
        .iter()
        .map(|change| if let ChunkChange::Write { value, .. } = change { value.len() } else { 0 })
        .sum();
    assert!(stored < 230_000, "{stored} bytes stored for 100,000 gaps");
}

/// A rewind into sealed chunks, of which only the first record was stored: the void ones behind it are recognised.
#[test]
fn chunks_that_a_rewind_left_behind_are_removed() {
    let mut map = gaps(512 * 4);
    let mut stored = Vec::new();
    apply(&mut stored, map.take_changes());
    map.changes_saved();
    map.resume(&identity(1, 2), 2 * 600, 5000, &[]);
    let changes = map.take_changes();
    assert_eq!(written(&changes), [(1, true), (2, false), (3, false)]);
    for through in 1..=changes.len() {
        let mut stored = stored.clone();
        apply(&mut stored, changes[..through].to_vec());
        let mut loaded = OffsetMap::load(stored.clone()).unwrap();
        assert_eq!(loaded, map);
        apply(&mut stored, loaded.take_changes());
        stored.sort_unstable();
        assert_eq!(stored.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn another_identity_removes_all_old_chunks_and_takes_new_numbers() {
    let mut map = gaps(512 * 2);
    let mut stored = Vec::new();
    apply(&mut stored, map.take_changes());
    map.changes_saved();
    let found = [Segment { source_base: 40, target_base: 7, count: 3 }];
    map.resume(&identity(9, 2), 50, 20, &found);
    assert_eq!((map.forward(42), map.forward(39)), (Translation::Exact(9), Translation::Unknown));
    let changes = map.take_changes();
    assert_eq!(written(&changes), [(2, true), (0, false), (1, false)]);
    apply(&mut stored, changes[..2].to_vec());
    let mut loaded = OffsetMap::load(stored).unwrap();
    assert_eq!(loaded, map);
    assert_eq!(written(&loaded.take_changes()), [(1, false)]);
}

/// A broker that had no topic ids and has some now keeps its topics.
#[test]
fn an_id_that_becomes_known_is_learnt() {
    let mut map = OffsetMap::new(identity(0, 0), 0, 0);
    map.acknowledged(&[Segment { source_base: 0, target_base: 0, count: 5 }], 5);
    map.take_changes();
    map.changes_saved();
    map.resume(&identity(1, 2), 5, 5, &[]);
    assert_eq!((map.identity(), map.forward(3)), (&identity(1, 2), Translation::Exact(3)));
    assert_eq!(written(&map.take_changes()), [(0, true)]);
    map.resume(&identity(1, 0), 5, 5, &[]);
    assert_eq!((map.identity(), map.interval_count()), (&identity(1, 2), 1));
    map.resume(&identity(1, 3), 5, 5, &[]);
    assert_eq!((map.identity(), map.interval_count()), (&identity(1, 3), 0));
}

#[test]
fn a_missing_chunk_makes_answers_early_and_not_wrong() {
    let mut map = gaps(512 * 3);
    let mut stored = Vec::new();
    apply(&mut stored, map.take_changes());
    stored.retain(|(chunk, _)| *chunk != 1);
    let loaded = OffsetMap::load(stored).unwrap();
    assert_eq!(loaded.forward(2 * 700), Translation::EarliestSafe(512));
    assert_eq!(loaded.backward(700), Translation::EarliestSafe(2 * 511 + 1));
    assert_eq!(loaded.forward(2 * 1100), Translation::Exact(1100));
}

fn refused(chunks: Vec<(u64, Vec<u8>)>) -> FormatError {
    let chunks = chunks.into_iter().map(|(chunk, value)| (chunk, value.into()));
    OffsetMap::load(chunks).expect_err("it should be refused")
}

#[test]
fn damage_is_told_by_name() {
    assert!(refused(Vec::new()).to_string().contains("no chunk"));
    for end in 0..STORED.len() {
        let error = refused(vec![(0, STORED[..end].to_vec())]);
        assert!(matches!(error, FormatError::Short { record: "map", .. }), "{end}: {error}");
    }
    let changed = |at: usize, byte: u8| {
        let mut value = STORED.to_vec();
        value[at] = byte;
        refused(vec![(0, value)])
    };
    assert!(matches!(changed(0, 3), FormatError::Version { version: 3, known: 2, .. }));
    assert!(matches!(changed(36, 0xff), FormatError::NotText { field: "remote_topic", .. }));
    assert!(changed(39, 0x0b).to_string().contains("don't rise"), "the origin lies above the begin");
    assert!(changed(2, 1).to_string().contains("impossible number"), "it is older than the oldest");
    assert!(refused(vec![(0, [STORED, b"\0"].concat())]).to_string().contains("behind its last interval"));
    assert!(refused(vec![(u64::MAX, STORED.to_vec())]).to_string().contains("impossible number"));
    assert!(refused(vec![(0, STORED.to_vec()), (1, STORED.to_vec())]).to_string().contains("contradict"));
    let huge = [&STORED[..39], &[0x80; 9], b"\x02", &STORED[40..]].concat();
    assert!(refused(vec![(0, huge)]).to_string().contains("more than 64 bits"));
    for end in 0..STORED_WITH_KEPT_PAIRS.len() {
        let error = refused(vec![(2, STORED_WITH_KEPT_PAIRS[..end].to_vec())]);
        assert!(matches!(error, FormatError::Short { record: "map", .. }), "{end}: {error}");
    }
    let kept_pairs = |at: usize, byte: u8| {
        let mut value = STORED_WITH_KEPT_PAIRS.to_vec();
        value[at] = byte;
        refused(vec![(2, value)]).to_string()
    };
    assert!(kept_pairs(50, 33).contains("more pairs"), "{}", kept_pairs(50, 33));
    assert!(kept_pairs(55, 0x70).contains("behind the begin"), "{}", kept_pairs(55, 0x70));
    let large = [&STORED[..39], &[0xff; 9], b"\x01", &STORED[40..]].concat();
    assert!(refused(vec![(0, large)]).to_string().contains("out of range"));
}

proptest! {
    /// Bytes of our own making, changed: refused, or a map that answers and can be stored again.
    #[test]
    fn damaged_chunks_never_panic(
        chunk in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in prop::option::of(any::<prop::sample::Index>()),
        forgets: bool,
        ask: i64,
    ) {
        let mut map = gaps(512 * 3 + 20);
        if forgets {
            prop_assert!(map.shed());
        }
        let mut stored = Vec::new();
        apply(&mut stored, map.take_changes());
        let chunk = chunk % stored.len();
        let mut value = stored[chunk].1.to_vec();
        for (at, byte) in changes {
            // Half of them in the head, which is short and says most.
            let at = at.index(value.len());
            let place = if byte % 2 == 0 { at % 60 } else { at };
            value[place] = byte;
        }
        if let Some(end) = end {
            value.truncate(end.index(value.len()));
        }
        stored[chunk].1 = value.into();
        if let Ok(mut loaded) = OffsetMap::load(stored.clone()) {
            for offset in [ask, 0, 1, 600, loaded.source_next(), loaded.target_next(), i64::MAX] {
                let _ = (loaded.forward(offset), loaded.backward(offset));
            }
            loaded.resume(&identity(1, 2), 300, 300, &[Segment { source_base: 290, target_base: 290, count: 2 }]);
            apply(&mut stored, loaded.take_changes());
            prop_assert_eq!(OffsetMap::load(stored).unwrap(), loaded);
        }
    }

    #[test]
    fn random_bytes_never_panic(chunks in prop::collection::vec((any::<u64>(), any::<Vec<u8>>()), 0..4)) {
        let chunks = chunks.into_iter().map(|(chunk, value)| (chunk, [&[1], value.as_slice()].concat().into()));
        prop_assert!(OffsetMap::load(chunks).is_err());
    }
}
