//! The model: two logs held record by record, a mirror between them that can die at any time, and the map under test.
//!
//! What a copy is, is known by the content alone: every record has a number that no other has. So nothing that the map
//! claims is taken from the map.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use uuid::Uuid;

use super::checks::check_safety;
use crate::model::{Segment, TopicId};
use crate::offsets::{ChunkChange, MapIdentity, OffsetMap};
use crate::replicator::tail::{MatchRules, RecordDigest, TailMatcher, TailPlan};

/// Intervals in a chunk: few, so that short stories have many chunks.
const CHUNK_INTERVALS: usize = 3;

/// A record that nobody mirrored.
const FOREIGN: u64 = 0;

/// What is stored of how far mirroring got.
#[derive(Clone, Debug)]
struct SavedPosition {
    identity: MapIdentity,
    source_next: i64,
    target_next: i64,
    /// Pairs before, newest last.
    anchors: Vec<(i64, i64)>,
}

#[derive(Debug)]
pub(super) struct MapWorld {
    /// Every record that was ever written to this source and not truncated: offset and content.
    source: BTreeMap<i64, u64>,
    /// Those of them that the cleaner removed.
    cleaned: BTreeMap<i64, u64>,
    source_start: i64,
    source_end: i64,
    /// The lowest truncation since a resolution was stored.
    cut: Option<i64>,
    /// Where the target's lost end began, as its leader epochs tell, since a resolution was stored.
    lost: Option<i64>,
    /// The target's log from offset 0 on.
    target: Vec<u64>,
    target_start: i64,
    /// Records that are written and not acknowledged yet.
    unacknowledged: Vec<Segment>,
    identity: MapIdentity,
    next_content: u64,
    next_id: u128,
    position: Option<SavedPosition>,
    stored: BTreeMap<u64, Bytes>,
    /// Where the map must know the copy of a source offset.
    pub told: BTreeMap<i64, i64>,
    /// Nothing was ever taken back, so there is one copy of each record.
    pub straight: bool,
    pub map: OffsetMap,
    /// Where fetching goes on.
    fetch: i64,
}

impl MapWorld {
    /// Empty topics whose first offsets are these, and a mirror that has resolved.
    pub(super) fn new(source_start: i64, foreign: usize) -> Self {
        let identity = MapIdentity {
            source_topic_id: TopicId(Uuid::from_u128(1)),
            remote_topic: "east.t".into(),
            target_topic_id: TopicId(Uuid::from_u128(2)),
        };
        let mut world = Self {
            source: BTreeMap::new(),
            cleaned: BTreeMap::new(),
            source_start,
            source_end: source_start,
            cut: None,
            lost: None,
            target: vec![FOREIGN; foreign],
            target_start: 0,
            unacknowledged: Vec::new(),
            map: OffsetMap::new(identity.clone(), source_start, foreign as i64),
            identity,
            next_content: 1,
            next_id: 3,
            position: None,
            stored: BTreeMap::new(),
            told: BTreeMap::new(),
            straight: true,
            fetch: source_start,
        };
        world.map.chunks.full = CHUNK_INTERVALS;
        world.save(usize::MAX);
        world
    }

    fn target_end(&self) -> i64 {
        self.target.len() as i64
    }

    /// Records appear on the source, each behind so many offsets that hold none.
    pub(super) fn produce(&mut self, gaps: &[i64]) {
        for gap in gaps {
            self.source_end += gap;
            self.source.insert(self.source_end, self.next_content);
            self.next_content += 1;
            self.source_end += 1;
        }
    }

    /// A marker ends a transaction, or records of an aborted one lie there.
    pub(super) fn mark(&mut self, offsets: i64) {
        self.source_end += offsets;
    }

    /// Somebody else writes to the target.
    pub(super) fn foreign(&mut self, records: usize) {
        self.target.extend(vec![FOREIGN; records]);
    }

    /// Records are written to the target; nobody knows yet.
    pub(super) fn write(&mut self, records: usize) {
        let batch: Vec<(i64, u64)> =
            self.source.range(self.fetch..).take(records).map(|(&s, &c)| (s, c)).collect();
        for (offset, content) in batch {
            let at = self.target_end();
            self.target.push(content);
            match self.unacknowledged.last_mut() {
                Some(last) if last.source_next() == offset && last.target_next() == at => last.count += 1,
                _ => self.unacknowledged.push(Segment { source_base: offset, target_base: at, count: 1 }),
            }
            self.fetch = offset + 1;
        }
    }

    /// What was written is acknowledged; ranges without records behind it are passed over.
    pub(super) fn acknowledge(&mut self) {
        let segments = std::mem::take(&mut self.unacknowledged);
        self.fetch = self.source.range(self.fetch..).next().map_or(self.source_end, |(&offset, _)| offset);
        self.tell(&segments);
        self.map.acknowledged(&segments, self.fetch);
    }

    fn tell(&mut self, segments: &[Segment]) {
        for segment in segments {
            for step in 0..i64::from(segment.count) {
                self.told.insert(segment.source_base + step, segment.target_base + step);
            }
        }
    }

    /// Stores the map, and the position behind it. Only `records` of it come through; then the process dies.
    pub(super) fn save(&mut self, records: usize) -> bool {
        let changes = self.map.take_changes();
        let whole = records >= changes.len();
        for change in changes.into_iter().take(records) {
            match change {
                ChunkChange::Write { chunk, value } => self.stored.insert(chunk, value.into()),
                ChunkChange::Remove { chunk } => self.stored.remove(&chunk),
            };
        }
        if whole {
            self.map.changes_saved();
            self.save_position();
            assert_eq!(self.loaded(), self.map, "what is stored is not what was saved");
            assert!(self.loaded().take_changes().is_empty(), "something was left behind");
        }
        whole
    }

    fn save_position(&mut self) {
        let reached = (self.map.source_next(), self.map.target_next());
        let mut anchors = self.position.take().map(|position| position.anchors).unwrap_or_default();
        anchors.retain(|&(source, target)| source <= reached.0 && target <= reached.1);
        anchors.push(reached);
        self.position = Some(SavedPosition {
            identity: self.map.identity().clone(),
            source_next: reached.0,
            target_next: reached.1,
            anchors,
        });
        (self.cut, self.lost) = (None, None);
    }

    /// The store says no; part of it may have come through.
    pub(super) fn fail_to_save(&mut self, records: usize) {
        for change in self.map.take_changes().into_iter().take(records) {
            match change {
                ChunkChange::Write { chunk, value } => self.stored.insert(chunk, value.into()),
                ChunkChange::Remove { chunk } => self.stored.remove(&chunk),
            };
        }
        self.map.changes_failed();
    }

    /// The map as it is stored.
    pub(super) fn loaded(&self) -> OffsetMap {
        let mut map = OffsetMap::load(self.stored.clone()).expect("stored chunks can be loaded");
        map.chunks.full = CHUNK_INTERVALS;
        map
    }

    /// The process dies and starts again.
    pub(super) fn restart(&mut self, dies_while_saving: Option<usize>) {
        self.map = self.loaded();
        check_safety(self, &self.map);
        let position = self.position.clone().expect("a position is stored from the start");
        self.told
            .retain(|&source, &mut target| source < position.source_next && target < position.target_next);
        self.resolve(&position, dies_while_saving);
    }

    /// Finds out where to go on, as the mirror does, and stores that before anything is written.
    fn resolve(&mut self, position: &SavedPosition, dies_while_saving: Option<usize>) {
        let end = self.target_end();
        let known = end.min(position.target_next).min(self.lost.unwrap_or(i64::MAX));
        let source_from = position.source_next.min(self.cut.unwrap_or(i64::MAX)).max(self.source_start);
        let (source_next, matched) = if position.identity.source_topic_id != self.identity.source_topic_id {
            (self.source_start, Vec::new())
        } else if position.identity.target_topic_id != self.identity.target_topic_id {
            self.match_tail(self.source_start, self.target_start, 0)
        } else if known < position.target_next {
            let usable = |&&(source, target): &&(i64, i64)| target <= known && source <= source_from;
            let anchor = position.anchors.iter().filter(usable).max_by_key(|(_, target)| *target);
            let &(source, target) = anchor.unwrap_or(&(self.source_start, self.target_start));
            self.match_tail(source.max(self.source_start), target, 0)
        } else {
            let expired = (self.target_start - position.target_next).max(0);
            self.match_tail(source_from, position.target_next, expired)
        };
        // Written again: a second copy comes behind the one that is there.
        self.straight &= self.copies().range(source_next..).next().is_none();
        self.unacknowledged.clear();
        let (cut_source, cut_target) =
            matched.first().map_or((source_next, end), |first| (first.source_base, first.target_base));
        if self.map.identity() != &self.identity {
            self.told.clear();
        }
        let found: BTreeMap<i64, i64> = matched
            .iter()
            .flat_map(|pairs| {
                (0..i64::from(pairs.count)).map(|step| (pairs.source_base + step, pairs.target_base + step))
            })
            .collect();
        self.told.retain(|source, target| {
            *source < source_next
                && *target < end
                && (*source < cut_source && *target < cut_target || found.get(source) == Some(target))
        });
        self.told.extend(found);
        self.map.resume(&self.identity, source_next, end, &matched);
        self.fetch = source_next;
        if !self.save(dies_while_saving.unwrap_or(usize::MAX)) {
            self.restart(None);
        }
    }

    /// The real matcher, fed with both logs.
    fn match_tail(&self, source_from: i64, target_from: i64, expired: i64) -> (i64, Vec<Segment>) {
        let plan = TailPlan {
            source_from,
            source_to: self.source_end,
            target_from: target_from.max(self.target_start),
            target_to: self.target_end(),
            unreadable: expired.unsigned_abs(),
            countable: self.cut.is_none(),
        };
        let digest = |offset, content: u64| RecordDigest {
            offset,
            timestamp_ms: 0,
            content: content.into(),
            key: None,
        };
        let source: Vec<_> = self.source.range(source_from..).map(|(&s, &c)| digest(s, c)).collect();
        let target: Vec<_> =
            (plan.target_from..plan.target_to).map(|at| digest(at, self.target[at as usize])).collect();
        let mut matcher = TailMatcher::new(plan, MatchRules::default());
        matcher.target(&target);
        matcher.target_end();
        matcher.source(&source);
        matcher.source_end();
        let found = matcher.finish();
        (found.source_next.unwrap_or(source_from), found.pairs)
    }

    /// The mirror notices that something moved, and resolves: from where it got to, not from what is stored.
    fn moved(&mut self) {
        let mut position = self.position.clone().expect("a position is stored from the start");
        if position.identity == *self.map.identity() {
            position.source_next = self.map.source_next();
            position.target_next = self.map.target_next();
        }
        self.resolve(&position, None);
    }

    /// What is known of the past is lost: as if it was mirrored before there were maps.
    pub(super) fn forget_map(&mut self) {
        self.stored.clear();
        let position = self.position.clone().expect("a position is stored from the start");
        self.told.clear();
        self.map = OffsetMap::new(position.identity.clone(), position.source_next, position.target_next);
        self.map.chunks.full = CHUNK_INTERVALS;
        self.resolve(&position, None);
    }

    /// The source loses its last records; the mirror has noticed.
    pub(super) fn truncate_source(&mut self, offsets: i64) {
        let end = (self.source_end - offsets).max(self.source_start);
        self.straight &= end >= self.map.source_next() && end >= self.fetch;
        self.source.split_off(&end);
        self.cleaned.split_off(&end);
        self.source_end = end;
        self.cut = Some(self.cut.map_or(end, |cut| cut.min(end)));
        self.moved();
    }

    /// The target loses its last records, and somebody writes others; the mirror has noticed.
    pub(super) fn lose_target(&mut self, records: i64, foreign: usize) {
        let end = (self.target_end() - records).max(self.target_start);
        self.target.truncate(end as usize);
        self.told.retain(|_, target| *target < end);
        self.straight = false;
        self.lost = Some(self.lost.map_or(end, |lost| lost.min(end)));
        self.foreign(foreign);
        self.moved();
    }

    /// The source topic is deleted and created again.
    pub(super) fn recreate_source(&mut self) {
        self.identity.source_topic_id = self.new_id();
        (self.source, self.cleaned) = Default::default();
        (self.source_start, self.source_end, self.cut) = (0, 0, None);
        self.moved();
    }

    /// The remote topic is deleted and created again; everything is mirrored anew.
    pub(super) fn recreate_target(&mut self, foreign: usize) {
        self.identity.target_topic_id = self.new_id();
        self.target = vec![FOREIGN; foreign];
        (self.target_start, self.lost) = (0, None);
        self.straight = false;
        self.moved();
    }

    fn new_id(&mut self) -> TopicId {
        self.next_id += 1;
        TopicId(Uuid::from_u128(self.next_id))
    }

    /// The source's cleaner removes every record whose number of content is a multiple.
    pub(super) fn compact_source(&mut self, multiple: u64) {
        let removed: Vec<_> = self.source.iter().filter(|(_, content)| *content % multiple == 0).collect();
        self.cleaned.extend(removed);
        self.source.retain(|_, content| *content % multiple != 0);
    }

    /// Retention removes the beginning of the source; the map is trimmed, as it is now and then.
    pub(super) fn expire_source(&mut self, offsets: i64) {
        // Not past what is mirrored: that would be a loss, and is told as such.
        self.source_start = (self.source_start + offsets).min(self.map.source_next().min(self.fetch));
        let gone: Vec<_> = self.source.range(..self.source_start).map(|(&s, &c)| (s, c)).collect();
        self.cleaned.extend(gone);
        self.source = self.source.split_off(&self.source_start);
        let before = self.map.begin;
        self.map.trim(self.source_start);
        assert!(self.map.begin.source <= self.source_start.max(before.source), "trimmed too much");
    }

    /// Retention removes the beginning of the target.
    pub(super) fn expire_target(&mut self, records: i64) {
        self.target_start = (self.target_start + records).min(self.target_end());
    }

    /// The oldest and the newest copy of each source record, also of those that the source has not got any more.
    pub(super) fn copies(&self) -> BTreeMap<i64, (i64, i64)> {
        let mut places: HashMap<u64, (i64, i64)> = HashMap::new();
        for (&content, at) in self.target.iter().zip(0..) {
            places.entry(content).or_insert((at, at)).1 = at;
        }
        let records = self.source.iter().chain(&self.cleaned);
        records.filter_map(|(&source, content)| Some((source, *places.get(content)?))).collect()
    }

    /// Whether the source still has a record.
    pub(super) fn is_on_source(&self, offset: i64) -> bool {
        self.source.contains_key(&offset)
    }

    /// What lies at a target offset and a source offset is the same.
    pub(super) fn same(&self, source: i64, target: i64) -> bool {
        let content = self.source.get(&source).or(self.cleaned.get(&source));
        content.is_some() && content == self.target.get(target as usize)
    }

    /// Ends of both logs.
    pub(super) fn ends(&self) -> (i64, i64) {
        (self.source_end, self.target_end())
    }
}
