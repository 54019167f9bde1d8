//! Group decisions over maps and commits that the tests make. `A.orders` on the target copies `orders`; what is mirrored
//! lies 90 lower there.

use std::collections::HashMap;

use super::*;
use crate::model::groups::{Committed, GroupRefusal, GroupState, RefusalReason};
use crate::model::{Segment, Side, TopicId, TopicPartition};
use crate::offsets::sync::SyncPair;
use crate::offsets::{MapIdentity, OffsetMap, Translation};

mod refusals;
mod shown;
mod writing;

const NOW: i64 = 1_700_000_000_000;
const GROUP: &str = "billing";

fn at_source() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn at_target() -> TopicPartition {
    TopicPartition::new("A.orders", 0)
}

fn topics() -> TopicPairs {
    [("orders".into(), "A.orders".into())].into_iter().collect()
}

/// Source offsets 100 to 149 are mirrored; what lies before is not known.
fn map() -> OffsetMap {
    let identity = MapIdentity {
        source_topic_id: TopicId::default(),
        remote_topic: "A.orders".into(),
        target_topic_id: TopicId::default(),
    };
    let mut map = OffsetMap::new(identity, 100, 10);
    map.acknowledged(&[Segment { source_base: 100, target_base: 10, count: 50 }], 150);
    map
}

fn commit(offset: i64, metadata: &str) -> Committed {
    Committed { offset, leader_epoch: 3, metadata: metadata.to_owned() }
}

fn refusal(reason: RefusalReason) -> GroupRefusal {
    GroupRefusal { reason, detail: format!("the cluster says {}", reason.as_str()) }
}

/// A flow's groups, with what is remembered of them.
struct Flow {
    back: bool,
    maps: HashMap<TopicPartition, OffsetMap>,
    book: SyncBook,
}

impl Flow {
    fn new(back: bool) -> Self {
        Self { back, maps: HashMap::from([(at_source(), map())]), book: SyncBook::default() }
    }

    /// Both sides were in step there.
    fn in_step(mut self, source: i64, target: i64, owner: Side) -> Self {
        let pair = SyncPair { source, target, owner };
        let memory = self.book.get(GROUP, &at_source()).in_step(pair, NOW);
        self.book.set(GROUP, &at_source(), memory);
        self
    }

    fn judge(&mut self, source: SideReading, target: SideReading) -> GroupWork {
        let maps = &self.maps;
        let places = |partition: &TopicPartition, source: Option<i64>, target: Option<i64>| {
            Some(CommitPlaces::by_map(maps.get(partition)?, source, target))
        };
        let judge = Judge { topics: &topics(), places, back: self.back, now_ms: NOW };
        judge.judge(GROUP, source, target, &mut self.book)
    }

    /// Decides about a group that is empty on both sides.
    fn judge_empty(&mut self, source: Option<i64>, target: Option<i64>) -> GroupWork {
        self.judge(side(&at_source(), source), side(&at_target(), target))
    }
}

/// A group without members that committed one offset, or none.
fn side(partition: &TopicPartition, offset: Option<i64>) -> SideReading {
    let commits = offset.map(|offset| (partition.clone(), Ok(commit(offset, "by the group"))));
    SideReading { state: Some(GroupState::Empty), offsets: Ok(commits.into_iter().collect()) }
}

/// The same group with members.
fn busy(side: SideReading) -> SideReading {
    SideReading { state: Some(GroupState::Active("Stable".to_owned())), ..side }
}

/// The only partition.
fn only(work: &GroupWork) -> &PartitionWork {
    let [partition] = work.partitions.as_slice() else { panic!("{work:?}") };
    partition
}

fn write(source: i64, target: i64, owner: Side) -> Option<(SyncPair, bool)> {
    Some((SyncPair { source, target, owner }, false))
}
