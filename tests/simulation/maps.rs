//! The offset map beside the machine, kept and stored as the mesh does it, and compared with both logs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use mirrormesh::model::{Segment, TopicPartition};
use mirrormesh::offsets::{ChunkChange, MapBudget, OffsetMap, Translation};
use mirrormesh::replicator::partition::Resolution;
use mirrormesh::store::{MapBook, SharedMap};

use crate::log::Log;
use crate::ops::Scenario;
use crate::world::World;

/// Plenty: these worlds are small.
const BUDGET_BYTES: usize = 1 << 20;

/// The maps of a flow that has one partition.
pub struct Maps {
    partition: TopicPartition,
    book: MapBook,
    /// From the first resolution on.
    map: Option<SharedMap>,
    /// What the compacted topic says.
    topic: BTreeMap<u64, Bytes>,
    /// On its way to the topic, before the position that is saved with it.
    writing: Vec<ChunkChange>,
}

impl Maps {
    pub fn new() -> Self {
        Self {
            partition: TopicPartition::new("orders", 0),
            book: MapBook::new(MapBudget::new(BUDGET_BYTES)),
            map: None,
            topic: BTreeMap::new(),
            writing: Vec::new(),
        }
    }

    /// A process starts: it has what was stored.
    pub fn load(&mut self) {
        let stored = (!self.topic.is_empty()).then(|| {
            let map = OffsetMap::load(self.topic.clone()).expect("whatever was stored can be loaded");
            (self.partition.clone(), map)
        });
        self.book = MapBook::new(MapBudget::new(BUDGET_BYTES));
        self.book.replace(stored.into_iter().collect::<HashMap<_, _>>());
        self.map = None;
        self.writing.clear();
    }

    pub fn resolved(&mut self, resolution: &Resolution) {
        self.map = Some(self.book.resume(&self.partition, resolution));
    }

    pub fn mirrored(&mut self, segments: &[Segment], source_next: i64) {
        self.map().lock().acknowledged(segments, source_next);
    }

    /// The store begins to write what changed.
    pub fn saving(&mut self) {
        self.writing = self.map().lock().take_changes();
    }

    /// All of it is there.
    pub fn saved(&mut self) {
        self.write(usize::MAX);
        if let Some(map) = &self.map {
            map.lock().changes_saved();
        }
    }

    /// An error was answered, though so many of the changes may be there.
    pub fn not_saved(&mut self, written: usize) {
        self.write(written);
        if let Some(map) = &self.map {
            map.lock().changes_failed();
        }
    }

    /// So many of the changes on their way get there, whatever becomes of the process.
    pub fn write(&mut self, most: usize) {
        for change in std::mem::take(&mut self.writing).into_iter().take(most) {
            match change {
                ChunkChange::Write { chunk, value } => drop(self.topic.insert(chunk, Bytes::from(value))),
                ChunkChange::Remove { chunk } => drop(self.topic.remove(&chunk)),
            }
        }
    }

    fn map(&self) -> Arc<parking_lot::Mutex<OffsetMap>> {
        self.map.clone().expect("a partition that mirrors or saves was resolved")
    }
}

/// No unread record is passed, either way; and where nothing but our own records can be on the target, translation is
/// exact.
pub fn are_true(world: &World) {
    let World { source, target, maps, .. } = world;
    let map = maps.map();
    let map = map.lock();
    let copies = copies(target);
    for offset in source.start..=source.end {
        let Some(answer) = map.forward(offset).offset() else { continue };
        for (unread, record) in source.read(offset) {
            let newest = copies.get(&record.id).and_then(|all| all.last());
            let newest = newest.expect("at rest every record of the source is on the target");
            assert!(
                *newest >= answer,
                "source {offset} is target {answer}, but {unread}, not yet read, is at {newest}: {map:?}"
            );
        }
    }
    for offset in target.start..=target.end {
        let Some(answer) = map.backward(offset).offset() else { continue };
        for (unread, record) in source.read(0) {
            let read = copies.get(&record.id).is_some_and(|all| all.iter().any(|copy| *copy < offset));
            assert!(
                read || unread >= answer,
                "target {offset} is source {answer}, but {unread}, below it, was not read: {map:?}"
            );
        }
    }
    if is_plain(&world.scenario) {
        for offset in source.start..=source.end {
            let next = source.read(offset).next();
            let next = next.map_or(target.end, |(_, record)| copies[&record.id][0]);
            assert_eq!(map.forward(offset), Translation::Exact(next), "source {offset}: {map:?}");
        }
    }
}

/// Nothing ever lies on the target but one copy of each record that the source still has.
fn is_plain(scenario: &Scenario) -> bool {
    let Scenario {
        foreign,
        source_compacted,
        source_resets,
        target_loses,
        target_resets,
        target_expires,
        target_compacted,
    } = *scenario;
    ![foreign, source_compacted, source_resets, target_loses, target_resets, target_expires, target_compacted]
        .contains(&true)
}

/// Where each record's copies lie, expired ones too.
fn copies(target: &Log) -> HashMap<u64, Vec<i64>> {
    let mut copies: HashMap<u64, Vec<i64>> = HashMap::new();
    for entry in &target.entries {
        if let Some(record) = entry.record.filter(|record| !record.foreign) {
            copies.entry(record.id).or_default().push(entry.offset);
        }
    }
    copies
}
