//! The walk along both tails, fed piece by piece.

use std::collections::{HashMap, VecDeque};

use super::{MAX_LOOK_AHEAD_RECORDS, MatchRules, RecordDigest, TailMatch, TailPlan};
use crate::model::Segment;

/// Ranges of foreign records that are told apart; more of them are told as one range that holds them all.
const MAX_FOREIGN_RANGES: usize = 100;

/// Which side a [`TailMatcher`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailNeed {
    /// More of the target's tail, or word that it has ended.
    Target,
    /// More of the source, or word that it has ended.
    Source,
    /// Nothing: the rest would not change the outcome.
    Nothing,
}

/// Matches a target's tail with the source while both are being read.
///
/// Feed the side that [`TailMatcher::wants`]; each piece is used up before more is asked for, so what is held is one
/// piece of each side. Look-ahead on a compacted target holds the target's tail, at most
/// [`MAX_LOOK_AHEAD_RECORDS`] of it.
#[derive(Debug)]
pub struct TailMatcher {
    plan: TailPlan,
    rules: MatchRules,
    source: VecDeque<RecordDigest>,
    source_ended: bool,
    target: VecDeque<RecordDigest>,
    target_ended: bool,
    index: Option<Index>,
    /// Target offset up to which the tail was walked.
    walked: i64,
    /// Records that can't be read and still have to be counted.
    to_count: u64,
    settled: bool,
    outcome: TailMatch,
}

impl TailMatcher {
    /// A matcher that has seen nothing.
    pub fn new(plan: TailPlan, rules: MatchRules) -> Self {
        let mut matcher = Self {
            plan,
            rules,
            source: VecDeque::new(),
            source_ended: false,
            target: VecDeque::new(),
            target_ended: false,
            index: rules.target_compacted.then(Index::default),
            walked: plan.target_from,
            to_count: plan.unreadable,
            settled: false,
            outcome: TailMatch::default(),
        };
        if matcher.nothing_to_read() {
            matcher.target_end();
        }
        matcher
    }

    /// What to feed next.
    pub fn wants(&self) -> TailNeed {
        if self.settled {
            TailNeed::Nothing
        } else if self.target.is_empty() && !self.target_ended || self.collects() {
            TailNeed::Target
        } else {
            TailNeed::Source
        }
    }

    /// The next records of the target, in offset order.
    pub fn target(&mut self, records: &[RecordDigest]) {
        self.target.extend(records.iter().filter(|record| record.offset < self.plan.target_to));
        if self.target.len() > MAX_LOOK_AHEAD_RECORDS {
            self.index = None;
        }
        self.walk();
    }

    /// The target's tail has been read to its end.
    pub fn target_end(&mut self) {
        self.target_ended = true;
        if let Some(index) = &mut self.index {
            index.build(&self.target);
        }
        self.walk();
    }

    /// The next records of the source, in offset order.
    pub fn source(&mut self, records: &[RecordDigest]) {
        self.source.extend(records);
        self.walk();
    }

    /// The source has been read to its readable end.
    pub fn source_end(&mut self) {
        self.source_ended = true;
        self.walk();
    }

    /// What it came to. The part of the tail that was not fed counts as foreign.
    pub fn finish(mut self) -> TailMatch {
        self.rest_is_foreign();
        if self.outcome.matched_records == 0 {
            // A count alone serves only where nothing can be read, and nothing speaks against it.
            if self.to_count > 0 || !self.nothing_to_read() {
                self.outcome.counted_records = 0;
            }
            let counted = self.outcome.counted_records as i64;
            self.outcome.source_next = (counted > 0).then_some(self.plan.source_from + counted);
        }
        self.outcome
    }

    /// Whether the whole tail is collected before the walk starts.
    fn collects(&self) -> bool {
        self.index.is_some() && !self.target_ended
    }

    fn walk(&mut self) {
        if self.collects() {
            return;
        }
        while !self.settled {
            let Some(record) = self.source.front().copied() else {
                self.settled = self.source_ended || (self.target_used_up() && self.to_count == 0);
                break;
            };
            if self.to_count > 0 {
                if self.target.is_empty() && !self.target_ended {
                    break;
                }
                self.count(&record);
                continue;
            }
            match self.find(&record) {
                Found::Copy(at) => self.pair(&record, at),
                Found::Superseded => {
                    self.source.pop_front();
                }
                Found::Unread => break,
                Found::Nowhere => self.settled = true,
            }
        }
        if self.settled {
            self.source = VecDeque::new();
        }
    }

    fn target_used_up(&self) -> bool {
        self.target_ended && self.target.is_empty()
    }

    /// Takes a source record for one that can't be read on the target any more, unless it is the first that can.
    fn count(&mut self, record: &RecordDigest) {
        if self.target.front().is_some_and(|first| self.rules.same(record, first)) {
            self.to_count = 0;
            return;
        }
        let unbroken = record.offset == self.plan.source_from + self.outcome.counted_records as i64;
        if self.nothing_to_read() && !(unbroken && self.plan.countable) {
            // A gap may be a record that was there when the copies were made.
            self.settled = true;
            return;
        }
        self.source.pop_front();
        self.outcome.counted_records += 1;
        self.to_count -= 1;
    }

    fn nothing_to_read(&self) -> bool {
        self.plan.target_from >= self.plan.target_to
    }

    /// Looks for the record's copy in what is left of the tail.
    fn find(&mut self, record: &RecordDigest) -> Found {
        if let Some(index) = &self.index {
            let done = index.records - self.target.len();
            return match index.copy(record, self.rules, done, &self.target) {
                Some(at) => Found::Copy(at),
                None if index.superseded(record, done) => Found::Superseded,
                None => Found::Nowhere,
            };
        }
        match self.target.iter().position(|copy| self.rules.same(record, copy)) {
            Some(at) => Found::Copy(at),
            None => {
                self.pass(self.target.len());
                if self.target_ended { Found::Nowhere } else { Found::Unread }
            }
        }
    }

    /// Enters a record and its copy, passing over what lies before the copy.
    fn pair(&mut self, record: &RecordDigest, at: usize) {
        self.pass(at);
        let Some(copy) = self.target.pop_front() else { return };
        self.source.pop_front();
        self.walked = copy.offset + 1;
        self.outcome.source_next = Some(record.offset + 1);
        self.outcome.target_matched = Some(copy.offset + 1);
        self.outcome.matched_records += 1;
        match self.outcome.pairs.last_mut() {
            Some(last)
                if last.source_next() == record.offset
                    && last.target_next() == copy.offset
                    && last.count < u32::MAX =>
            {
                last.count += 1;
            }
            _ => self.outcome.pairs.push(Segment {
                source_base: record.offset,
                target_base: copy.offset,
                count: 1,
            }),
        }
    }

    /// Passes over records that are no copies.
    fn pass(&mut self, records: usize) {
        for _ in 0..records {
            let Some(record) = self.target.pop_front() else { return };
            self.walked = record.offset + 1;
            self.foreign(record.offset, record.offset + 1);
        }
    }

    fn rest_is_foreign(&mut self) {
        self.pass(self.target.len());
        if !self.target_ended && self.walked < self.plan.target_to {
            self.foreign(self.walked, self.plan.target_to);
        }
    }

    fn foreign(&mut self, from: i64, to: i64) {
        let ranges = self.outcome.foreign.len();
        match self.outcome.foreign.last_mut() {
            Some(last) if last.1 == from || ranges >= MAX_FOREIGN_RANGES => last.1 = to,
            _ => self.outcome.foreign.push((from, to)),
        }
    }
}

/// Where a source record was found.
enum Found {
    /// So many records further on in the tail.
    Copy(usize),
    /// Not there, because the cleaner removed it in favour of a later record.
    Superseded,
    /// Not in what was read so far.
    Unread,
    /// Not there.
    Nowhere,
}

/// Finds copies, and later records of a key, in a tail that is held as a whole.
#[derive(Debug, Default)]
struct Index {
    records: usize,
    /// Content and place, sorted.
    copies: Vec<(u128, usize)>,
    /// Where each key comes last.
    last_of_key: HashMap<u64, usize>,
}

impl Index {
    fn build(&mut self, tail: &VecDeque<RecordDigest>) {
        self.records = tail.len();
        self.copies = tail.iter().enumerate().map(|(place, record)| (record.content, place)).collect();
        self.copies.sort_unstable();
        self.last_of_key =
            tail.iter().enumerate().filter_map(|(place, record)| Some((record.key?, place))).collect();
    }

    /// The first copy at or after place `done`, counted from there.
    fn copy(
        &self,
        record: &RecordDigest,
        rules: MatchRules,
        done: usize,
        left: &VecDeque<RecordDigest>,
    ) -> Option<usize> {
        let first = self.copies.partition_point(|copy| *copy < (record.content, done));
        self.copies[first..]
            .iter()
            .take_while(|(content, _)| *content == record.content)
            .map(|(_, place)| place - done)
            .find(|&at| left.get(at).is_some_and(|copy| rules.same(record, copy)))
    }

    /// Whether the record's key comes again at or after place `done`.
    fn superseded(&self, record: &RecordDigest, done: usize) -> bool {
        record.key.and_then(|key| self.last_of_key.get(&key)).is_some_and(|&last| last >= done)
    }
}
