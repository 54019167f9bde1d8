//! The invariants, and what has to be remembered to check them.

use std::collections::HashSet;

use mirrormesh::formats::Position;
use mirrormesh::model::Event;
use mirrormesh::replicator::tail::TailMatch;

use crate::log::{Entry, Log};
use crate::ops::Scenario;
use crate::world::World;

/// A source record that was removed before anyone knew whether it was mirrored.
struct Removed {
    incarnation: u64,
    offset: i64,
    id: u64,
}

/// What was seen during a run.
#[derive(Default)]
pub struct Ledger {
    delivered: HashSet<u64>,
    /// Delivered, and lost by the target since.
    undone: HashSet<u64>,
    /// With the source incarnation that the last resolution saw.
    events: Vec<(u64, Event)>,
    incarnation: u64,
    expired: Vec<Removed>,
    compacted: HashSet<u64>,
    /// `[from, to)` of the source that must be reported as truncated.
    truncated: Option<(i64, i64)>,
    ever_truncated: bool,
    /// `[from, to)` of the target that must be reported as lost, and the source's records in it. Where their source
    /// is gone too, a log that has grown since looks as after any election.
    lost: Option<(i64, i64)>,
    lost_ids: HashSet<u64>,
    /// Source offsets that a report on retention names although nothing was left to compare.
    exact: bool,
    /// Reports before this index speak of an older target topic.
    target_since: usize,
    /// Something happened after which the design allows repeats.
    may_repeat: bool,
}

impl Ledger {
    pub fn delivered(&mut self, id: u64) {
        self.delivered.insert(id);
        self.undone.remove(&id);
    }

    fn holds(&self, id: u64) -> bool {
        self.delivered.contains(&id) && !self.undone.contains(&id)
    }

    pub fn compacted(&mut self, gone: Vec<Entry>) {
        self.compacted.extend(gone.iter().filter_map(|entry| Some(entry.record?.id)));
    }

    pub fn source_expired(&mut self, source: &Log, gone: Vec<Entry>, stored: Option<&Position>) {
        if stored.is_none() {
            // The partition has not begun: it starts at whatever is there then.
            return;
        }
        let incarnation = source.incarnation;
        self.expired.extend(
            gone.iter().filter_map(|entry| {
                Some(Removed { incarnation, offset: entry.offset, id: entry.record?.id })
            }),
        );
        // Where all of the old history expired, nothing shows any more that it was cut.
        self.truncated = self.truncated.filter(|&(from, _)| source.start <= from);
    }

    pub fn source_truncated(&mut self, before: i64, end: i64, stored: Option<&Position>) {
        self.ever_truncated = true;
        let to = stored.map_or(0, |position| position.source_next.min(before));
        let (from, to) = self.truncated.map_or((end, to), |(from, before)| (from.min(end), to.max(before)));
        self.truncated = (from < to).then_some((from, to));
    }

    pub fn source_recreated(&mut self) {
        self.truncated = None;
        self.ever_truncated = false;
    }

    pub fn target_lost(&mut self, before: i64, end: i64, gone: Vec<Entry>, stored: Option<&Position>) {
        self.undone.extend(gone.iter().filter_map(|entry| Some(entry.record?.id)));
        let to = stored.map_or(0, |position| position.target_next.min(before));
        let ids: Vec<u64> = gone
            .iter()
            .filter(|entry| entry.offset < to)
            .filter_map(|entry| entry.record.filter(|record| !record.foreign))
            .map(|record| record.id)
            .collect();
        if ids.is_empty() {
            return;
        }
        self.lost_ids.extend(ids);
        let (from, to) = self.lost.map_or((end, to), |(from, before)| (from.min(end), to.max(before)));
        self.lost = (from < to).then_some((from, to));
    }

    pub fn target_recreated(&mut self, gone: &[Entry]) {
        self.undone.extend(gone.iter().filter_map(|entry| Some(entry.record?.id)));
        self.lost = None;
        self.lost_ids.clear();
        self.target_since = self.events.len();
    }

    /// So many target records to be compared have expired; if neither they nor later ones tell, they are repeated.
    pub fn counted(&mut self, expired: i64, tail: Option<&TailMatch>) {
        let there = tail.map_or(0, |tail| tail.counted_records + tail.matched_records);
        self.may_repeat |= expired > 0 && there == 0;
    }

    /// What an unnoticed new target topic took is repeated in its place when mirroring restarts.
    pub fn writing(&mut self, noticed: bool) {
        self.may_repeat |= !noticed;
    }

    pub fn resolving(&mut self, source: &Log, exact: bool) {
        self.incarnation = source.incarnation;
        self.exact = exact;
    }

    /// R4 in full, as long as the source kept one history.
    pub fn saving(&self, position: &Position, source: &Log) {
        if self.ever_truncated || position.source_topic_id != source.topic_id {
            return;
        }
        for (offset, record) in source.read(0) {
            assert!(
                offset >= position.source_next || self.delivered.contains(&record.id),
                "R4: position {} passes offset {offset}, which never reached the target",
                position.source_next
            );
        }
    }

    pub fn report(&mut self, event: Event) {
        match event {
            Event::SourceTruncated { from, to } => {
                self.truncated = self.truncated.filter(|&(cut, next)| from > cut || to < next);
            }
            Event::TargetLost { from, to } => {
                self.lost = self.lost.filter(|&(cut, next)| from > cut || to < next);
                if self.lost.is_none() {
                    self.lost_ids.clear();
                }
            }
            Event::RetentionOvertook { from, to } if self.exact => {
                for removed in &self.expired {
                    let named =
                        removed.incarnation == self.incarnation && (from..to).contains(&removed.offset);
                    assert!(
                        !named || self.ever_truncated || !self.holds(removed.id),
                        "R10: offset {} was mirrored, yet {from} to {to} is reported as lost",
                        removed.offset
                    );
                }
            }
            _ => {}
        }
        self.events.push((self.incarnation, event));
    }
}

/// What must hold once everything has come to rest.
pub fn at_rest(world: &World) {
    let World { source, target, ledger, .. } = world;
    let copies: Vec<_> = target.entries.iter().filter_map(|entry| entry.record).collect();
    let ours: Vec<u64> = copies.iter().filter(|record| !record.foreign).map(|record| record.id).collect();
    let there: HashSet<u64> = ours.iter().copied().collect();
    for (offset, record) in source.read(0) {
        assert!(there.contains(&record.id), "R1: source offset {offset} is not on the target");
    }
    // On a compacted target a record that is not the source's, or not any more, may supersede a copy. The copy may
    // then be written again: only so does the key have the source's value.
    let Scenario { foreign, source_resets, target_compacted, .. } = world.scenario;
    let exact_copies = !(target_compacted && (foreign || source_resets));
    if exact_copies && !ledger.may_repeat {
        for pair in ours.windows(2) {
            assert!(pair[0] != pair[1], "R3: record {} comes twice", pair[0]);
            assert!(pair[0] < pair[1], "R2/R3: record {} comes after {}", pair[1], pair[0]);
        }
    }
    removals_are_reported(world);
    foreign_records_are_reported(world);
    assert_eq!(ledger.truncated, None, "R10: truncated source offsets were not reported");
    let readable = source.read(0).any(|(_, record)| ledger.lost_ids.contains(&record.id));
    assert!(
        ledger.lost.is_none() || !readable,
        "R10: lost target offsets {:?} were not reported",
        ledger.lost
    );
}

fn removals_are_reported(World { ledger, .. }: &World) {
    for removed in &ledger.expired {
        let reported = ledger.events.iter().any(|(incarnation, event)| match event {
            Event::RetentionOvertook { from, to } => {
                *incarnation == removed.incarnation && (*from..*to).contains(&removed.offset)
            }
            Event::SourceRecreated { new_start, .. } => {
                *incarnation > removed.incarnation
                    || (*incarnation == removed.incarnation && removed.offset < *new_start)
            }
            // What the target held is gone with it.
            Event::TargetRecreated { .. } | Event::TargetLost { .. } => ledger.undone.contains(&removed.id),
            _ => false,
        });
        assert!(
            reported
                || ledger.ever_truncated
                || ledger.holds(removed.id)
                || ledger.compacted.contains(&removed.id),
            "R10: offset {} expired unmirrored and unreported",
            removed.offset
        );
    }
}

fn foreign_records_are_reported(World { target, ledger, .. }: &World) {
    for entry in &target.entries {
        if entry.expired || !entry.record.is_some_and(|record| record.foreign) {
            continue;
        }
        // What was written after the last of ours is found by the next write, or the next start.
        let is_last = !target
            .entries
            .iter()
            .any(|other| other.offset > entry.offset && other.record.is_some_and(|record| !record.foreign));
        let reported = ledger.events[ledger.target_since..].iter().any(|(_, event)| match event {
            Event::ForeignRecords { from, to } => (*from..*to).contains(&entry.offset),
            _ => false,
        });
        assert!(is_last || reported, "R10: the foreign record at {} was not reported", entry.offset);
    }
}
