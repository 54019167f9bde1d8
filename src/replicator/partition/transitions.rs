//! How the machine moves from state to state.

use std::time::Duration;

use super::io::{PartitionOutput, Resolution};
use super::{PartitionMachine, PartitionPhase, Reached};
use crate::model::{Event, Fault, FaultKind, WriteErrorClass};

impl PartitionMachine {
    pub(super) fn start(&mut self, out: &mut Vec<PartitionOutput>) {
        if self.phase == PartitionPhase::New {
            self.open(None, out);
        }
    }

    /// Opens the lane anew. What was in flight is void: it is answered to nobody, and found in the tail.
    pub(super) fn open(&mut self, waits_for: Option<String>, out: &mut Vec<PartitionOutput>) {
        self.void(out);
        self.generation = self.generation.next();
        self.phase = PartitionPhase::Opening { waits_for };
        out.push(PartitionOutput::OpenLane(self.generation));
    }

    /// Opens the lane at once, but waits first where that was tried since the last progress: what comes back at
    /// once would otherwise be looked into without end.
    pub(super) fn open_soon(&mut self, now: Duration, reason: String, out: &mut Vec<PartitionOutput>) {
        if std::mem::replace(&mut self.hasty, true) {
            self.void(out);
            self.wait(now, reason, out);
        } else {
            self.open(Some(reason), out);
        }
    }

    pub(super) fn lane_opened(&mut self, out: &mut Vec<PartitionOutput>) {
        if matches!(self.phase, PartitionPhase::Opening { .. }) {
            self.phase = PartitionPhase::Resolving { again: false };
            out.push(PartitionOutput::Resolve);
        }
    }

    pub(super) fn resolved(&mut self, now: Duration, resolution: Resolution, out: &mut Vec<PartitionOutput>) {
        let PartitionPhase::Resolving { again } = self.phase else { return };
        out.extend(resolution.events.into_iter().map(PartitionOutput::Report));
        let reached = Reached {
            source_next: resolution.source_next,
            target_next: resolution.target_next,
            source_epoch: resolution.source_epoch,
            target_epoch: resolution.target_epoch,
        };
        if resolution.save {
            self.saver.outdate();
        } else if self.reached.is_none() {
            self.saver.found(reached);
        }
        self.reached = Some(reached);
        self.identity = Some(resolution.position);
        self.passed = None;
        self.leader_epoch = resolution.leader_epoch;
        self.live = true;
        self.lost_from = None;
        self.next_fetch = reached.source_next;
        self.refetch = (reached.source_next, reached.source_epoch);
        if again {
            // Taken all the same: what the shell writes beside a position are the ids that came with it.
            self.phase = PartitionPhase::Resolving { again: false };
            out.push(PartitionOutput::Resolve);
        } else if self.saver.holds(&reached, false) {
            self.stream(out);
        } else {
            self.phase = PartitionPhase::Saving;
            if !self.saver.is_busy(now) {
                self.save(now, false, out);
            }
        }
    }

    pub(super) fn resolve_waits(&mut self, now: Duration, what: String, out: &mut Vec<PartitionOutput>) {
        if matches!(self.phase, PartitionPhase::Resolving { .. }) {
            self.wait(now, what, out);
        }
    }

    pub(super) fn resolve_failed(&mut self, now: Duration, fault: Fault, out: &mut Vec<PartitionOutput>) {
        if matches!(self.phase, PartitionPhase::Resolving { .. }) {
            self.faulted(now, fault, out);
        }
    }

    /// Fetches from where fetching ended, unless an operator paused.
    pub(super) fn stream(&mut self, out: &mut Vec<PartitionOutput>) {
        self.phase = PartitionPhase::Streaming;
        if !self.paused {
            self.fetching = true;
            self.next_fetch = self.refetch.0;
            out.push(PartitionOutput::Fetch { offset: self.refetch.0, leader_epoch: self.refetch.1 });
        }
    }

    pub(super) fn moved(&mut self, out: &mut Vec<PartitionOutput>) {
        match &mut self.phase {
            PartitionPhase::Resolving { again } => *again = true,
            PartitionPhase::Saving | PartitionPhase::Streaming | PartitionPhase::SourceAway { .. } => {
                self.settle(out)
            }
            _ => {}
        }
    }

    /// Stops fetching, and resolves when what is in flight is answered.
    pub(super) fn settle(&mut self, out: &mut Vec<PartitionOutput>) {
        self.stop_fetch(out);
        self.phase = PartitionPhase::Settling;
    }

    pub(super) fn stop_fetch(&mut self, out: &mut Vec<PartitionOutput>) {
        self.stalled_since = None;
        if std::mem::take(&mut self.fetching) {
            out.push(PartitionOutput::StopFetch);
        }
    }

    /// Gives up what is in flight: it was not written, or nobody knows.
    pub(super) fn void(&mut self, out: &mut Vec<PartitionOutput>) {
        self.stop_fetch(out);
        self.in_flight.clear();
        self.live = false;
    }

    /// Waits for something outside, then resolves.
    pub(super) fn wait(&mut self, now: Duration, reason: String, out: &mut Vec<PartitionOutput>) {
        self.stop_fetch(out);
        self.phase = PartitionPhase::Waiting { reason, retry_at: now + self.backoff.next() };
    }

    /// Shows a fault until there is progress, and resolves after a while.
    pub(super) fn faulted(&mut self, now: Duration, fault: Fault, out: &mut Vec<PartitionOutput>) {
        let delay = self.backoff.next();
        self.faulted_for(now + delay, fault, out);
    }

    fn faulted_for(&mut self, retry_at: Duration, fault: Fault, out: &mut Vec<PartitionOutput>) {
        self.stop_fetch(out);
        if self.fault.as_ref() != Some(&fault) {
            out.push(PartitionOutput::Report(Event::Faulted(fault.clone())));
        }
        self.fault = Some(fault);
        self.phase = PartitionPhase::Faulted { retry_at };
    }

    pub(super) fn write_failed(
        &mut self,
        now: Duration,
        class: WriteErrorClass,
        fault: Fault,
        out: &mut Vec<PartitionOutput>,
    ) {
        if !self.live {
            return;
        }
        self.void(out);
        if self.phase == PartitionPhase::Draining {
            self.abandon(now, out);
            return;
        }
        match class {
            WriteErrorClass::Retry => self.wait(now, fault.to_string(), out),
            WriteErrorClass::Session => self.open_soon(now, format!("engine session: {fault}"), out),
            WriteErrorClass::Fence => self.faulted(now, fault, out),
            WriteErrorClass::Refuse => {
                let delay = self.backoff.cap();
                self.faulted_for(now + delay, fault, out);
            }
        }
    }

    pub(super) fn source_failed(
        &mut self,
        now: Duration,
        fault: Fault,
        retry: bool,
        out: &mut Vec<PartitionOutput>,
    ) {
        // The engine has stopped fetching by itself.
        if !std::mem::take(&mut self.fetching) || self.phase != PartitionPhase::Streaming {
            return;
        }
        if retry {
            let retry_at = now + self.backoff.next();
            self.phase = PartitionPhase::SourceAway { reason: fault.to_string(), retry_at };
        } else {
            self.faulted(now, fault, out);
        }
    }

    pub(super) fn session_lost(&mut self, now: Duration, reason: String, out: &mut Vec<PartitionOutput>) {
        let reason = format!("engine session: {reason}");
        match self.phase {
            PartitionPhase::New | PartitionPhase::Stopped => {}
            PartitionPhase::Draining => {
                self.void(out);
                self.abandon(now, out);
            }
            // Asked for again at once, a session that can't be built would be asked for without end.
            PartitionPhase::Opening { .. } => self.wait(now, reason, out),
            PartitionPhase::Waiting { .. } | PartitionPhase::Faulted { .. } => self.void(out),
            _ => self.open_soon(now, reason, out),
        }
    }

    pub(super) fn pause(&mut self, out: &mut Vec<PartitionOutput>) {
        self.paused = true;
        if let PartitionPhase::SourceAway { .. } = self.phase {
            self.phase = PartitionPhase::Streaming;
        }
        if self.phase == PartitionPhase::Streaming {
            self.stop_fetch(out);
        }
    }

    pub(super) fn resume(&mut self, out: &mut Vec<PartitionOutput>) {
        self.paused = false;
        match self.phase {
            PartitionPhase::Streaming if !self.fetching => self.stream(out),
            PartitionPhase::SourceAway { .. } => self.stream(out),
            PartitionPhase::Waiting { .. } | PartitionPhase::Faulted { .. } => self.open(None, out),
            _ => {}
        }
    }

    pub(super) fn stalled(&mut self, now: Duration, out: &mut Vec<PartitionOutput>) {
        let fault = Fault::new(
            FaultKind::NoProgress,
            format!(
                "{}: nothing arrived from source offset {} for {} s, though the log ends at {}",
                self.place,
                self.next_fetch,
                super::STALL.as_secs(),
                self.source_end.unwrap_or(-1)
            ),
            "it is tried again with a new lane; if that does not help, look at the source's leader of this partition",
        );
        self.void(out);
        self.faulted(now, fault, out);
    }

    pub(super) fn drain(&mut self, now: Duration, out: &mut Vec<PartitionOutput>) {
        if self.phase == PartitionPhase::Draining {
            return;
        }
        self.stop_fetch(out);
        if self.live {
            self.phase = PartitionPhase::Draining;
        } else {
            self.abandon(now, out);
        }
    }

    /// Stops without a clean position: the stored one, and the tail behind it, say the rest at the next start.
    pub(super) fn abandon(&mut self, now: Duration, out: &mut Vec<PartitionOutput>) {
        if let Some(reached) = self.reached
            && self.may_save()
            && !self.saver.is_busy(now)
            && !self.saver.holds(&reached, false)
        {
            self.save(now, false, out);
        }
        self.stopped(out);
    }

    /// Ends a drain as soon as nothing is in flight and the clean position is durable.
    pub(super) fn finish_drain(&mut self, now: Duration, out: &mut Vec<PartitionOutput>) {
        let Some(reached) = self.reached else { return };
        if !self.in_flight.is_empty() || self.saver.is_busy(now) {
            return;
        }
        if self.saver.holds(&reached, true) {
            self.stopped(out);
        } else {
            self.save(now, true, out);
        }
    }

    fn stopped(&mut self, out: &mut Vec<PartitionOutput>) {
        self.phase = PartitionPhase::Stopped;
        out.push(PartitionOutput::Stopped);
    }

    pub(super) fn position_saved(&mut self, out: &mut Vec<PartitionOutput>) {
        if !self.saver.saved() {
            return;
        }
        if self.store_fault.take().is_some() && self.fault.is_none() {
            out.push(PartitionOutput::Report(Event::Recovered));
        }
        if self.phase == PartitionPhase::Saving
            && self.reached.is_some_and(|reached| self.saver.holds(&reached, false))
        {
            self.stream(out);
        }
    }

    pub(super) fn position_failed(&mut self, now: Duration, fault: Fault, out: &mut Vec<PartitionOutput>) {
        let retry_at = now + self.backoff.next();
        if self.saver.failed(retry_at) {
            if self.store_fault.as_ref() != Some(&fault) {
                out.push(PartitionOutput::Report(Event::Faulted(fault.clone())));
            }
            self.store_fault = Some(fault);
        }
    }
}
