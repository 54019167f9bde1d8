//! A group that is worked with on both sides, by consumers, by people and by us, with crashes at every point of ours.

use proptest::prelude::*;

use super::super::*;
use crate::model::{Segment, TopicId};
use crate::offsets::{MapIdentity, OffsetMap};

/// Offsets on either side stay below this.
const END: i64 = 200;
const NOW: i64 = 1_700_000_000_000;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A consumer or a person commits.
    Commit(Side, i64),
    /// The commit is deleted, or expires.
    Delete(Side),
    /// Members come or go.
    Occupy(Side, bool),
    /// A whole round of ours.
    Round,
    /// A round that dies: before the plan is durable, before the commit, before the outcome is durable.
    Crash(u8),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Target)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (side(), 0..END).prop_map(|(side, offset)| Act::Commit(side, offset)),
        1 => side().prop_map(Act::Delete),
        2 => (side(), any::<bool>()).prop_map(|(side, busy)| Act::Occupy(side, busy)),
        5 => Just(Act::Round),
        2 => (0..3_u8).prop_map(Act::Crash),
    ]
}

/// A map with runs of up to 20 records, gaps on the source, and now and then one on the target.
fn map() -> impl Strategy<Value = OffsetMap> {
    proptest::collection::vec((1..20_u32, 0..4_i64, 0..3_i64), 1..12).prop_map(|runs| {
        let id = MapIdentity {
            source_topic_id: TopicId::default(),
            remote_topic: "A.t".into(),
            target_topic_id: TopicId::default(),
        };
        let mut map = OffsetMap::new(id, 0, 0);
        let (mut source, mut target) = (0, 0);
        for (count, source_gap, target_gap) in runs {
            source += source_gap;
            target += if target_gap == 2 { 3 } else { 0 };
            let segment = Segment { source_base: source, target_base: target, count };
            source += i64::from(count);
            target += i64::from(count);
            map.acknowledged(&[segment], source);
        }
        map
    })
}

/// One side of a group.
#[derive(Clone, Debug, Default)]
struct GroupSide {
    committed: Option<i64>,
    /// Commits that the other side has heard of; anything else is work that a write would lose.
    heard: Vec<i64>,
    busy: bool,
}

#[derive(Debug)]
struct GroupWorld {
    map: OffsetMap,
    source: GroupSide,
    target: GroupSide,
    back: bool,
    /// What we remember, and what of it a crash leaves.
    memory: SyncMemory,
    durable: SyncMemory,
    writes: usize,
}

impl GroupWorld {
    fn new(map: OffsetMap, back: bool) -> Self {
        Self {
            map,
            source: GroupSide::default(),
            target: GroupSide::default(),
            back,
            memory: SyncMemory::default(),
            durable: SyncMemory::default(),
            writes: 0,
        }
    }

    fn at(&mut self, side: Side) -> &mut GroupSide {
        match side {
            Side::Source => &mut self.source,
            Side::Target => &mut self.target,
        }
    }

    fn seen(&self) -> SyncFacts {
        let (source, target) = (self.source.committed, self.target.committed);
        SyncFacts {
            source,
            target,
            forward: source.map_or(Translation::Unknown, |offset| self.map.forward(offset)),
            backward: target.map_or(Translation::Unknown, |offset| self.map.backward(offset)),
            forgotten: false,
            back: self.back,
            source_free: !self.source.busy,
            target_free: !self.target.busy,
        }
    }

    /// One round, which may die after `until` of its steps.
    fn round(&mut self, until: u8) {
        let decision = decide(self.memory, &self.seen(), NOW);
        self.memory = decision.memory;
        match decision.step {
            SyncStep::Write(pair) | SyncStep::Refresh(pair) => {
                if until == 0 {
                    self.memory = self.durable;
                    return;
                }
                self.memory = self.memory.plan(pair);
                self.durable = self.memory;
                if until == 1 {
                    // Somebody who commits just what was planned can't be told from the write that was not sent.
                    let (side, offset) = pair.follower();
                    self.at(side).heard.push(offset);
                    return;
                }
                // Who dies before the outcome is durable can't tell a later rewind to the old place from a write that
                // never arrived.
                self.write(pair, until == 2);
                if until == 2 {
                    return;
                }
                self.memory = self.memory.written(NOW);
            }
            SyncStep::Keep => {
                if let (Some(source), Some(target)) = (self.source.committed, self.target.committed) {
                    (self.source.heard, self.target.heard) = (vec![source], vec![target]);
                }
            }
            SyncStep::Leave(_) => {}
        }
        self.durable = self.memory;
    }

    fn write(&mut self, pair: SyncPair, unsure: bool) {
        let (side, offset) = pair.follower();
        assert!(self.back || side == Side::Target, "the source is not ours to write");
        let decided = self.at(pair.owner).committed.expect("a side that decides has a commit");
        let group = self.at(side);
        assert!(!group.busy, "active members are left alone");
        if let Some(before) = group.committed.replace(offset) {
            assert!(group.heard.contains(&before), "{before} was somebody's work, {pair:?} loses it");
        }
        for (side, value) in [(side, offset), (pair.owner, decided)] {
            let heard = &mut self.at(side).heard;
            if !unsure {
                heard.clear();
            }
            heard.push(value);
        }
        self.writes += 1;
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Commit(side, offset) => self.at(side).committed = Some(offset),
            Act::Delete(side) => self.at(side).committed = None,
            Act::Occupy(side, busy) => self.at(side).busy = busy,
            Act::Round => self.round(u8::MAX),
            Act::Crash(until) => self.round(until),
        }
    }

    fn are_in_step(&self) -> bool {
        let seen = self.seen();
        match (seen.source, seen.target) {
            (Some(source), Some(target)) => {
                seen.forward.offset() == Some(target) || seen.backward.offset() == Some(source)
            }
            _ => false,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Nobody's work is overwritten, whatever happens and wherever we die (asserted at each write); and once nobody
    /// touches anything, we stop after one write.
    #[test]
    fn nothing_is_lost_and_it_comes_to_rest(
        map in map(), back in any::<bool>(), acts in proptest::collection::vec(act(), 0..40)
    ) {
        let mut world = GroupWorld::new(map, back);
        for act in acts {
            world.act(act);
        }
        (world.source.busy, world.target.busy) = (false, false);
        world.round(u8::MAX);
        let (writes, rest) = (world.writes, (world.source.committed, world.target.committed));
        for _ in 0..3 {
            world.round(u8::MAX);
        }
        let moved = (world.source.committed, world.target.committed);
        prop_assert_eq!((world.writes, moved), (writes, rest), "ping-pong");
    }

    /// Where only one side is worked on between two rounds, the other one follows it, rewinds and crashes included,
    /// and there is never a conflict.
    #[test]
    fn the_side_that_moved_is_followed(
        map in map(),
        moves in proptest::collection::vec((side(), 0..END, proptest::option::of(0..3_u8)), 1..20)
    ) {
        let mut world = GroupWorld::new(map, true);
        world.act(Act::Commit(Side::Source, 0));
        world.round(u8::MAX);
        for (side, offset, crash) in moves {
            world.act(Act::Commit(side, offset));
            if let Some(until) = crash {
                world.round(until);
            }
            world.round(u8::MAX);
            prop_assert_eq!(world.at(side).committed, Some(offset), "it keeps what it has");
            prop_assert!(world.are_in_step(), "{:?}", world);
        }
    }

    /// A group that one side has never had appears there where it was on the other.
    #[test]
    fn an_empty_side_is_filled(map in map(), side in side(), offset in 0..END) {
        let mut world = GroupWorld::new(map, true);
        world.act(Act::Commit(side, offset));
        world.round(u8::MAX);
        prop_assert!(world.are_in_step(), "{:?}", world);
    }
}
