//! The offset map of one partition: which source offset went to which target offset.
//!
//! It is a list of intervals that rise on both sides. What lies between two of them needs no mark:
//! - where the target goes on without a gap, no source offset between them has a copy, so the next copy answers exactly;
//! - where the target has a gap, something else lies there (another writer's records, copies that were only counted or
//!   that were written again). The end of the interval before it is then the earliest safe answer, on both sides.
//!
//! A source offset that is mirrored again (after a truncation, or by a repeat) replaces what was known from there on:
//! the newest copy is the one behind which every later record follows once.
//!
//! Of what is forgotten, below the source's log start or to save memory, a few pairs stay: the earliest safe answer
//! there comes from the nearest of them.

use std::sync::Arc;

use super::MapIdentity;
use super::budget::{MapAccount, MapBudget};
use super::changes::Changes;
use super::chunks::Chunks;
use super::interval::{Interval, OffsetPair};
use super::kept_pairs::KeptPairs;
use crate::model::Segment;

/// The offset map of one partition.
///
/// A gapless log is one interval, whatever its length. A gap takes two to six bytes as a rule, 28 at worst. Two maps
/// are equal if they say the same, however much of it is stored.
#[derive(Clone, Debug)]
pub struct OffsetMap {
    pub(super) identity: MapIdentity,
    pub(super) incarnation: u64,
    /// Where the map began before it was trimmed; nothing is known of what was mirrored before.
    pub(super) origin: OffsetPair,
    /// Where it begins: what was mirrored between origin and begin lies there on both sides.
    pub(super) begin: OffsetPair,
    /// What is still known of what lies there.
    pub(super) kept_pairs: KeptPairs,
    /// Every source offset before this is mirrored, or has no record to mirror; what is mirrored next lies here or
    /// after on the target.
    pub(super) next: OffsetPair,
    pub(super) chunks: Chunks,
    pub(super) changes: Changes,
    pub(super) account: MapAccount,
    pub(super) shed_intervals: u64,
}

impl OffsetMap {
    /// A map that begins where mirroring begins.
    pub fn new(identity: MapIdentity, source_next: i64, target_next: i64) -> Self {
        let begin = OffsetPair { source: source_next, target: target_next };
        let mut changes = Changes::default();
        changes.add(0);
        Self {
            identity,
            incarnation: 0,
            origin: begin,
            begin,
            kept_pairs: KeptPairs::default(),
            next: begin,
            chunks: Chunks::new(0),
            changes,
            account: MapAccount::default(),
            shed_intervals: 0,
        }
    }

    /// Which logs it speaks of.
    pub fn identity(&self) -> &MapIdentity {
        &self.identity
    }

    /// Next source offset to be mirrored.
    pub fn source_next(&self) -> i64 {
        self.next.source
    }

    /// Target offset that the next record gets, or a later one.
    pub fn target_next(&self) -> i64 {
        self.next.target
    }

    /// What it knows, in order.
    pub fn intervals(&self) -> impl Iterator<Item = Interval> {
        self.chunks.iter()
    }

    /// How many intervals it has.
    pub fn interval_count(&self) -> u64 {
        self.chunks.count()
    }

    /// The last record that was mirrored: its offset on the source, and on the target.
    pub fn last_mirrored(&self) -> Option<(i64, i64)> {
        let end = self.chunks.last()?.next();
        Some((end.source - 1, end.target - 1))
    }

    /// Source offset where its oldest sealed chunk ends; a log that starts before it leaves nothing to trim.
    pub fn oldest_end(&self) -> Option<i64> {
        self.chunks.oldest().map(|chunk| chunk.next.source)
    }

    /// Memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.identity.remote_topic.as_str().len()
            + self.chunks.memory_bytes()
            + self.kept_pairs.memory_bytes()
            + self.changes.memory_bytes()
    }

    /// Mirroring goes on at `source_next`, and what it writes comes to `target_next` or after; `matched` was found on
    /// the target behind the saved position.
    ///
    /// What the map says of source offsets from `source_next` on, and of target offsets from `target_next` on, is
    /// void: it was truncated, or will be mirrored again. From the first pair on that was found elsewhere than the
    /// map says, what was found counts. Logs of another identity void everything.
    pub fn resume(
        &mut self,
        identity: &MapIdentity,
        source_next: i64,
        target_next: i64,
        matched: &[Segment],
    ) {
        let before = self.next;
        let next = OffsetPair { source: source_next, target: target_next };
        let anew = self.identity.differs_from(identity);
        let agreed = |segment: &&Segment| !anew && self.chunks.hold(&Interval::from(*segment));
        let found = &matched[matched.iter().take_while(agreed).count()..];
        if anew {
            self.chunks.clear(&mut self.changes);
            self.incarnation = self.incarnation.saturating_add(1);
            self.identity = identity.clone();
            let begin = found.first().map_or(next, |first| Interval::from(first).base().min(next));
            (self.origin, self.begin) = (begin, begin);
            self.kept_pairs = KeptPairs::default();
        } else if self.identity.learn(identity) {
            self.changes.add(self.chunks.open_number());
        }
        self.cut(next);
        for segment in found {
            self.push(segment);
        }
        let end = self.chunks.last().map_or(next, Interval::next);
        self.next = OffsetPair { source: source_next.max(end.source), target: target_next.max(end.target) };
        if self.next != before {
            self.changes.add(self.chunks.open_number());
        }
        self.account.hold(self.memory_bytes());
    }

    /// Records were acknowledged; every source offset before `source_next` is done with.
    pub fn acknowledged(&mut self, segments: &[Segment], source_next: i64) {
        for segment in segments {
            self.push(segment);
        }
        if source_next > self.next.source {
            self.next.source = source_next;
            self.changes.add(self.chunks.open_number());
        }
        self.account.hold(self.memory_bytes());
    }

    /// Whether it knew of this source offset once, and forgot it: the answer was better then.
    pub fn has_forgotten(&self, source: i64) -> bool {
        (self.origin.source..self.begin.source).contains(&source)
    }

    /// Forgets what lies wholly below the source's log start, as far as whole chunks do.
    pub fn trim(&mut self, source_log_start: i64) {
        while self.chunks.oldest().is_some_and(|chunk| chunk.next.source <= source_log_start) {
            self.drop_oldest();
        }
        self.account.hold(self.memory_bytes());
    }

    /// Forgets the oldest sealed chunk, to save memory. False if there is none.
    pub fn shed(&mut self) -> bool {
        let Some(intervals) = self.drop_oldest() else { return false };
        self.shed_intervals += intervals;
        self.account.hold(self.memory_bytes());
        true
    }

    /// How many intervals were forgotten to save memory since the last call.
    pub fn take_shed(&mut self) -> u64 {
        std::mem::take(&mut self.shed_intervals)
    }

    /// Counts its memory towards `budget` from now on. Sheds at once if that is too much.
    pub fn set_budget(&mut self, budget: Arc<MapBudget>) {
        self.account = MapAccount::new(budget);
        self.account.hold(self.memory_bytes());
        while self.account.is_overdrawn() && self.shed() {}
    }

    fn drop_oldest(&mut self) -> Option<u64> {
        let chunk = self.chunks.drop_oldest(&mut self.changes)?;
        self.kept_pairs.push(chunk.base);
        self.begin = chunk.next;
        self.changes.add(self.chunks.open_number());
        Some(chunk.intervals)
    }

    fn push(&mut self, segment: &Segment) {
        let interval = Interval::from(segment);
        if interval.count == 0 {
            return;
        }
        if !self.next.is_within(interval.base()) {
            self.cut(interval.base());
        }
        let before_bytes = self.memory_bytes();
        if self.chunks.append(interval, &mut self.changes) {
            self.account.hold(self.memory_bytes());
            while self.account.is_overdrawn() && self.memory_bytes() > before_bytes && self.shed() {}
        }
        self.next = interval.next();
    }

    /// Voids what reaches `limit` on either side.
    fn cut(&mut self, limit: OffsetPair) {
        if self.chunks.cut(limit, &mut self.changes) {
            self.incarnation = self.incarnation.saturating_add(1);
        }
        self.kept_pairs.cut(limit);
        self.origin = self.origin.min(limit);
        self.begin = self.begin.min(limit);
        self.next = self.next.min(limit);
    }
}

impl PartialEq for OffsetMap {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && (self.origin, self.begin, self.next) == (other.origin, other.begin, other.next)
            && self.kept_pairs == other.kept_pairs
            && self.intervals().eq(other.intervals())
    }
}

impl Eq for OffsetMap {}
