//! The conclusion from facts and tail.

use super::decide::source_reset;
use super::{ResumeNext, ResumeVerdict};
use crate::formats::{Anchors, Position};
use crate::model::{Event, Fault, FaultKind};
use crate::replicator::partition::{Reached, Resolution};
use crate::replicator::tail::TailMatch;

impl ResumeVerdict {
    /// Says where to go on, given what the tail match came to if [`ResumeNext::MatchTail`] asked for one.
    ///
    /// Fails with the verdict's fault; where the policy says so, also when the tail shows that source records were
    /// lost; and when it is called on [`ResumeNext::Settle`], or without the match that was asked for.
    pub fn conclude(self, tail: Option<TailMatch>) -> Result<Resolution, Fault> {
        let Self { mut events, next, case } = self;
        let tail = match (next, tail) {
            (ResumeNext::Fault(fault), _) => return Err(fault),
            (ResumeNext::Go { .. }, _) => TailMatch::default(),
            (ResumeNext::MatchTail(_), Some(tail)) => tail,
            (ResumeNext::Settle | ResumeNext::MatchTail(_), _) => {
                return Err(Fault::new(
                    FaultKind::Other,
                    format!("{}: the target's tail was not compared", case.place),
                    "it is tried again",
                ));
            }
        };
        let source_next = tail.source_next.unwrap_or(case.source_from);
        if let Some(doubt) = case.doubtful
            && (doubt.certain || source_next < doubt.source_next)
            && !doubt.reported
        {
            let from = tail.target_matched.map_or(doubt.from, |matched| matched.max(doubt.from));
            let from = if from < doubt.to { from } else { doubt.from };
            events.push(Event::TargetLost { from, to: doubt.to });
        }
        // A later record on the target shows that those before it were written too (R11).
        if let Some((from, to)) = case.overtaken.filter(|_| tail.source_next.is_none()) {
            events.push(Event::RetentionOvertook { from, to });
            if case.fail_on_source_reset {
                return Err(source_reset(format!(
                    "{}: retention removed source offsets {from} to {to} before they were mirrored",
                    case.place
                )));
            }
        }
        events.extend(tail.foreign.iter().map(|&(from, to)| Event::ForeignRecords { from, to }));
        let records = tail.matched_records + tail.counted_records;
        if records > 0 {
            events.push(Event::TailMatched { records });
        }
        let target_next = case.target_next;
        events.push(Event::Resumed { source_next, target_next });
        let reached = Reached {
            source_next,
            target_next,
            // The leader's epoch covers whatever was in the log, so also the matched records.
            source_epoch: if tail.source_next.is_some() { case.leader_epoch } else { case.source_epoch },
            target_epoch: case.target_epoch,
        };
        // Older pairs may speak of what was cut off.
        let mut anchors = if case.cut { Anchors::default() } else { case.anchors };
        if anchors.as_slice().is_empty() {
            anchors = Anchors::starting_at(source_next, target_next);
        } else {
            anchors.push(source_next, target_next);
        }
        Ok(Resolution {
            source_next,
            target_next,
            source_epoch: reached.source_epoch,
            leader_epoch: case.leader_epoch,
            target_epoch: reached.target_epoch,
            matched: tail.pairs,
            position: Position {
                source_next,
                target_next,
                source_epoch: reached.source_epoch,
                target_epoch: reached.target_epoch,
                anchors,
                ..case.identity
            },
            events,
            save: case.stored != Some(reached),
        })
    }
}
