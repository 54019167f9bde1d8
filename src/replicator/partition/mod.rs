//! The partition as a state machine: inputs in, outputs out, the next deadline. No clock, no I/O, no actor.
//!
//! ```text
//!            ┌────────────── source/target moved, session lost, write failed ──────────────┐
//!            ▼                                                                              │
//!  ──▶ resolving ──resolved──▶ streaming ◀──resume/pause──▶ paused                          │
//!        │    ▲                   │  └───────────────────────────────────────────────────────┘
//!  fault │    │ retry             │ drain
//!        ▼    │                   ▼
//!   faulted / waiting          draining ──nothing in flight──▶ stopped
//! ```
//!
//! What a resolution found is saved before anything is fetched under it. So the stored position always leads back
//! to every record that may lie on the target: the tail behind it can be matched with the source, a first start
//! is never mistaken for a foreign topic, and a clean stop is forgotten before the next write.

mod in_flight;
mod io;
mod saver;
mod status;
mod transitions;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use io::Reached;
pub use io::{PartitionConfig, PartitionInput, PartitionOutput, Resolution};

use super::backoff::RetryBackoff;
use crate::formats::Position;
use crate::model::{BatchInfo, Event, Fault, FaultKind, Generation, Segment};
use in_flight::InFlight;
use saver::Saver;

/// Lag without progress for this long is a fault: well above any fetch wait or leader election.
const STALL: Duration = Duration::from_secs(30);

/// Where the machine is. What is in flight, paused or faulted is kept beside it.
#[derive(Clone, Debug, PartialEq)]
enum PartitionPhase {
    /// Not started.
    New,
    /// The lane is being opened; names what that waits for, if it is known.
    Opening { waits_for: Option<String> },
    /// The shell finds out where to go on; `again` when something moved meanwhile.
    Resolving { again: bool },
    /// The resolution is being saved.
    Saving,
    /// Fetching, writing; or paused.
    Streaming,
    /// Fetching stopped; when all in flight is answered, the partition resolves.
    Settling,
    /// The source is away; what is in flight goes on. Fetching starts again at the deadline.
    SourceAway { reason: String, retry_at: Duration },
    /// Something outside is away; resolving starts again at the deadline.
    Waiting { reason: String, retry_at: Duration },
    /// A person has to act; resolving starts again at the deadline.
    Faulted { retry_at: Duration },
    /// Waits for acknowledgements, then for the last position.
    Draining,
    /// Done.
    Stopped,
}

/// The machine.
#[derive(Debug)]
pub struct PartitionMachine {
    place: String,
    generation: Generation,
    phase: PartitionPhase,
    reached: Option<Reached>,
    /// The position as the last resolution found it: which logs `reached` speaks of, and the anchors so far.
    identity: Option<Position>,
    /// Source offset up to which ranges without records were passed whose epoch nobody told. The position waits
    /// behind them until the leader's epoch is known to cover them: otherwise a truncation could hide.
    passed: Option<i64>,
    /// Epoch of the source's leader at the last resolution.
    leader_epoch: i32,
    /// Resolved, and every write since is acknowledged or in flight: `reached` and `in_flight` are the whole truth.
    live: bool,
    /// Where the next batch must start.
    next_fetch: i64,
    /// Where fetching starts again after a stop, and the epoch that goes with it: behind the last batch that had
    /// records or a known epoch. From a range of unknown epoch on, a truncation could not be noticed.
    refetch: (i64, i32),
    fetching: bool,
    in_flight: InFlight,
    saver: Saver,
    backoff: RetryBackoff,
    fault: Option<Fault>,
    store_fault: Option<Fault>,
    paused: bool,
    credit_blocked: bool,
    stalled_since: Option<Duration>,
    source_end: Option<i64>,
    lost_from: Option<i64>,
    /// The lane was opened at once since the last progress; the next time waits.
    hasty: bool,
}

impl PartitionMachine {
    /// A machine that waits for [`PartitionInput::Start`]. `generation` counts on from the last one used.
    pub fn new(config: PartitionConfig, generation: Generation) -> Self {
        Self {
            place: config.place,
            generation,
            phase: PartitionPhase::New,
            reached: None,
            identity: None,
            passed: None,
            leader_epoch: -1,
            live: false,
            next_fetch: 0,
            refetch: (0, -1),
            fetching: false,
            in_flight: InFlight::default(),
            saver: Saver::new(config.positions_interval),
            backoff: RetryBackoff::new(config.seed),
            fault: None,
            store_fault: None,
            paused: false,
            credit_blocked: false,
            stalled_since: None,
            source_end: None,
            lost_from: None,
            hasty: false,
        }
    }

    /// Takes an input; what is to be done is appended to `out`, in order. Each [`PartitionInput::Fetched`] is answered by
    /// exactly one [`PartitionOutput::Write`] or [`PartitionOutput::Discard`].
    pub fn handle(&mut self, now: Duration, input: PartitionInput, out: &mut Vec<PartitionOutput>) {
        if self.phase == PartitionPhase::Stopped {
            if matches!(input, PartitionInput::Fetched(_)) {
                out.push(PartitionOutput::Discard);
            }
            return;
        }
        match input {
            PartitionInput::Start => self.start(out),
            PartitionInput::LaneOpened => self.lane_opened(out),
            PartitionInput::Resolved(resolution) => self.resolved(now, *resolution, out),
            PartitionInput::ResolveWaits(what) => self.resolve_waits(now, what, out),
            PartitionInput::ResolveFailed(fault) => self.resolve_failed(now, fault, out),
            PartitionInput::Fetched(info) => self.fetched(info, out),
            PartitionInput::Acknowledged { source_next, target_next, segments } => {
                self.acknowledged(now, source_next, target_next, segments, out);
            }
            PartitionInput::WriteFailed { class, fault } => self.write_failed(now, class, fault, out),
            PartitionInput::SourceFailed { fault, retry } => self.source_failed(now, fault, retry, out),
            PartitionInput::SourceMoved | PartitionInput::TargetMoved => self.moved(out),
            PartitionInput::SessionLost(reason) => self.session_lost(now, reason, out),
            PartitionInput::Bounds { end, leader_epoch } => self.bounds(now, end, leader_epoch, out),
            PartitionInput::CreditBlocked(blocked) => self.credit_blocked = blocked,
            PartitionInput::Pause => self.pause(out),
            PartitionInput::Resume => self.resume(out),
            PartitionInput::Drain => self.drain(now, out),
            PartitionInput::PositionSaved => self.position_saved(out),
            PartitionInput::PositionFailed(fault) => self.position_failed(now, fault, out),
            PartitionInput::Tick => {}
        }
        self.go_on(now, out);
    }

    fn fetched(&mut self, info: BatchInfo, out: &mut Vec<PartitionOutput>) {
        if self.phase != PartitionPhase::Streaming || !self.fetching {
            out.push(PartitionOutput::Discard);
            return;
        }
        if info.source_base != self.next_fetch || info.source_next < info.source_base {
            out.push(PartitionOutput::Discard);
            self.settle(out);
            return;
        }
        self.stalled_since = None;
        self.next_fetch = info.source_next;
        if info.records > 0 || info.leader_epoch >= 0 {
            self.refetch = (info.source_next, info.leader_epoch);
        }
        self.in_flight.push(info);
        out.push(if info.records > 0 { PartitionOutput::Write } else { PartitionOutput::Discard });
    }

    fn acknowledged(
        &mut self,
        now: Duration,
        source_next: i64,
        target_next: Option<i64>,
        segments: Vec<Segment>,
        out: &mut Vec<PartitionOutput>,
    ) {
        if !self.live {
            return;
        }
        let Some(expected) = self.reached.map(|reached| reached.target_next) else { return };
        if self.in_flight.oldest().is_none_or(|oldest| oldest.source_next != source_next) {
            let fault = Fault::new(
                FaultKind::Other,
                format!(
                    "{}: the engine acknowledged source offset {source_next} out of turn; {} was next",
                    self.place,
                    self.in_flight.oldest().map_or(-1, |oldest| oldest.source_next)
                ),
                "the partition looks at the target and goes on; report this if it comes again",
            );
            self.void(out);
            if self.phase == PartitionPhase::Draining {
                self.abandon(now, out);
            } else {
                self.faulted(now, fault, out);
            }
            return;
        }
        let mut at = expected;
        for segment in &segments {
            if segment.target_base < at {
                self.target_lost(now, segment.target_base, at, out);
                return;
            }
            if segment.target_base > at {
                out.push(PartitionOutput::Report(Event::ForeignRecords {
                    from: at,
                    to: segment.target_base,
                }));
            }
            at = segment.target_next();
        }
        let Some(info) = self.in_flight.pop() else { return };
        self.advance(&info, target_next.unwrap_or(at).max(at), segments, out);
        self.progress(out);
    }

    /// Moves the position over a batch whose records, and those of all before it, are on the target.
    fn advance(
        &mut self,
        info: &BatchInfo,
        target_next: i64,
        segments: Vec<Segment>,
        out: &mut Vec<PartitionOutput>,
    ) {
        let Some(reached) = &mut self.reached else { return };
        out.push(PartitionOutput::Mirrored { source_next: info.source_next, segments });
        reached.target_next = target_next;
        self.saver.acknowledged(info.bytes);
        if info.records == 0 && info.leader_epoch < 0 && reached.source_epoch >= 0 {
            self.passed = Some(info.source_next);
        } else if info.source_next > info.source_base {
            self.passed = None;
            reached.source_next = info.source_next;
            reached.source_epoch = info.leader_epoch;
        }
    }

    /// A record that was acknowledged is not where it should be. Later writes are void, and the next resolution
    /// trusts the target only below `from`.
    fn target_lost(&mut self, now: Duration, from: i64, to: i64, out: &mut Vec<PartitionOutput>) {
        out.push(PartitionOutput::Report(Event::TargetLost { from, to }));
        self.lost_from = Some(self.lost_from.map_or(from, |lost| lost.min(from)));
        self.void(out);
        if self.phase == PartitionPhase::Draining {
            self.abandon(now, out);
        } else {
            self.wait(now, format!("the target lost offsets {from} to {to}; it is looked at again"), out);
        }
    }

    fn bounds(&mut self, now: Duration, end: i64, leader_epoch: i32, out: &mut Vec<PartitionOutput>) {
        self.source_end = Some(end);
        if self.phase != PartitionPhase::Streaming {
            return;
        }
        if leader_epoch > self.leader_epoch && self.leader_epoch >= 0 {
            self.moved(out);
            return;
        }
        if !self.in_flight.is_empty() {
            return;
        }
        if let Some(reached) = &mut self.reached
            && leader_epoch == self.leader_epoch
            && end >= self.passed.unwrap_or(reached.source_next)
            && (self.passed.is_some() || reached.source_epoch < 0)
        {
            // No election since the resolution: the leader's epoch covers whatever is in its log.
            reached.source_next = self.passed.take().unwrap_or(reached.source_next);
            reached.source_epoch = leader_epoch;
            self.refetch = (reached.source_next, leader_epoch);
        }
        if self.fetching && end <= self.next_fetch {
            self.progress(out);
        } else if self.fetching && !self.credit_blocked {
            self.stalled_since.get_or_insert(now);
        }
    }

    /// Something worked: waits start short again, and a fault is over.
    fn progress(&mut self, out: &mut Vec<PartitionOutput>) {
        self.backoff.reset();
        self.hasty = false;
        self.stalled_since = None;
        if self.fault.take().is_some() && self.store_fault.is_none() {
            out.push(PartitionOutput::Report(Event::Recovered));
        }
    }

    /// What follows from the state rather than from the input: positions that are due, deadlines that passed.
    fn go_on(&mut self, now: Duration, out: &mut Vec<PartitionOutput>) {
        while self.live
            && let Some(info) = self.in_flight.pop_empty()
        {
            let target_next = self.reached.map_or(0, |reached| reached.target_next);
            self.advance(&info, target_next, Vec::new(), out);
        }
        if self.credit_blocked
            || self.phase != PartitionPhase::Streaming
            || !self.fetching
            || !self.in_flight.is_empty()
        {
            self.stalled_since = None;
        }
        match &self.phase {
            PartitionPhase::Settling if self.in_flight.is_empty() => {
                if std::mem::replace(&mut self.hasty, true) {
                    self.void(out);
                    self.wait(now, "source or target moved again before there was progress".to_owned(), out);
                } else {
                    self.open(None, out);
                }
            }
            PartitionPhase::Waiting { retry_at, .. } | PartitionPhase::Faulted { retry_at }
                if now >= *retry_at =>
            {
                self.open(None, out);
            }
            PartitionPhase::SourceAway { retry_at, .. } if now >= *retry_at => self.stream(out),
            PartitionPhase::Streaming if self.stalled_since.is_some_and(|since| now >= since + STALL) => {
                self.stalled(now, out);
            }
            PartitionPhase::Draining => {
                self.finish_drain(now, out);
                return;
            }
            _ => {}
        }
        let Some(reached) = self.reached else { return };
        let must_save = self.phase == PartitionPhase::Saving && !self.saver.is_busy(now);
        if must_save
            || (self.phase != PartitionPhase::Stopped && self.may_save() && self.saver.is_due(now, &reached))
        {
            self.save(now, false, out);
        }
    }

    /// Asks for what is reached to be saved.
    fn save(&mut self, now: Duration, clean: bool, out: &mut Vec<PartitionOutput>) {
        let (Some(reached), Some(identity)) = (self.reached, &mut self.identity) else { return };
        identity.anchors.push(reached.source_next, reached.target_next);
        self.saver.asked(now, reached, clean);
        out.extend(
            self.position()
                .map(|position| PartitionOutput::SavePosition(Box::new(Position { clean, ..position }))),
        );
    }

    /// Whether what is reached may be stored: not while it names target records that are lost.
    fn may_save(&self) -> bool {
        self.lost_from.is_none()
    }
}
