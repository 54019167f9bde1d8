//! How a flow ends: drained, out of time, given up to somebody else, or failed.

use std::time::Duration;

use super::io::{FlowOutput, Note};
use super::{FlowMachine, FlowPhase};
use crate::model::status::{FlowState, UpstreamStatus};
use crate::model::{Event, PathText};

/// Part of a drain's time that partitions have; closing takes the rest.
const FOR_PARTITIONS: f64 = 0.75;
/// Part of it after which the store goes on without the session: positions are worth more than its farewell.
const FOR_SESSION: f64 = 0.9;
/// Intervals after which a heartbeat no longer proves anything.
const FRESH_INTERVALS: u32 = 10;

/// When each step of a drain must be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainTimes {
    pub(super) partitions: Duration,
    pub(super) session: Duration,
    pub(super) store: Duration,
}

impl FlowMachine {
    /// Stops for good, without saving: the flow is somebody else's, or must not run.
    pub(super) fn give_up(
        &mut self,
        now: Duration,
        state: FlowState,
        reason: String,
        out: &mut Vec<FlowOutput>,
    ) {
        match self.phase {
            FlowPhase::GivenUp { .. } | FlowPhase::Closing { .. } | FlowPhase::Stopped => {}
            FlowPhase::Draining => self.cut_drain(now, reason, out),
            _ => {
                out.push(FlowOutput::Note(Note::GaveUp(reason.clone())));
                self.stop_jobs(out);
                self.partitions.kill_all(out);
                self.session.close(self.config.close_limit, out);
                self.phase = FlowPhase::GivenUp { state, reason };
            }
        }
    }

    /// A fresh heartbeat that came through this flow and has been on the target before proves a loop.
    pub(super) fn stop_if_loop(
        &mut self,
        now: Duration,
        upstreams: &[UpstreamStatus],
        out: &mut Vec<FlowOutput>,
    ) {
        if self.phase != FlowPhase::Running {
            return;
        }
        let fresh_ms = (self.config.heartbeat_interval * FRESH_INTERVALS).as_millis();
        let looped = upstreams.iter().find(|upstream| {
            let Some((_, way)) = upstream.path.split_last() else { return false };
            upstream.age_ms.max(0).unsigned_abs() < u64::try_from(fresh_ms).unwrap_or(u64::MAX)
                && way.last() == Some(&self.config.from)
                && way.contains(&self.config.to)
        });
        if let Some(upstream) = looped {
            let path = PathText(&upstream.path).to_string();
            let reason = format!("heartbeats come round: {path}; take one flow of the ring out");
            out.push(FlowOutput::Report(Event::LoopFound { path }));
            self.give_up(now, FlowState::Faulted, reason, out);
        }
    }

    pub(super) fn start_drain(&mut self, now: Duration, limit: Duration, out: &mut Vec<FlowOutput>) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(DrainTimes {
            partitions: now + limit.mul_f64(FOR_PARTITIONS),
            session: now + limit.mul_f64(FOR_SESSION),
            store: now + limit,
        });
        self.stop_jobs(out);
        if self.phase != FlowPhase::Running {
            self.close_session(now, out);
            return;
        }
        self.phase = FlowPhase::Draining;
        self.partitions.drain_all(out);
        out.push(FlowOutput::Note(Note::Draining { partitions: self.partitions.living() }));
    }

    /// Goes on when the last partition has ended, or the time for them is over.
    pub(super) fn finish_drain(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        if self.partitions.living() == 0 {
            self.close_session(now, out);
        } else if self.drain.is_none_or(|times| now >= times.partitions) {
            self.cut_drain(now, "drain out of time".to_owned(), out);
        }
    }

    /// Ends a drain before all partitions are done.
    fn cut_drain(&mut self, now: Duration, why: String, out: &mut Vec<FlowOutput>) {
        self.left_behind = self.partitions.living();
        if self.left_behind > 0 {
            out.push(FlowOutput::Note(Note::LeftBehind { partitions: self.left_behind, why }));
        }
        self.partitions.kill_all(out);
        self.close_session(now, out);
    }

    /// Session, then store: what the session still acknowledges is not saved, but found.
    fn close_session(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        self.phase = FlowPhase::Closing { store: false };
        let limit = self.drain.map_or(Duration::ZERO, |times| times.session.saturating_sub(now));
        if !self.session.close(limit, out) {
            self.close_store(now, out);
        }
    }

    pub(super) fn close_store(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        if !self.store {
            self.stop(out);
            return;
        }
        self.phase = FlowPhase::Closing { store: true };
        let limit = self.drain.map_or(Duration::ZERO, |times| times.store.saturating_sub(now));
        out.push(FlowOutput::DrainStore { limit });
    }

    /// Goes on without what does not close in time.
    pub(super) fn finish_closing(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        let Some(times) = self.drain else { return };
        if self.phase == (FlowPhase::Closing { store: false }) && now >= times.session {
            self.close_store(now, out);
        }
        if self.phase == (FlowPhase::Closing { store: true }) && now >= times.store {
            self.stop(out);
        }
    }

    pub(super) fn store_drained(&mut self, out: &mut Vec<FlowOutput>) {
        if self.phase == (FlowPhase::Closing { store: true }) {
            self.stop(out);
        }
    }

    /// Nobody saves positions any more. The next life of the flow goes on from those that are saved.
    pub(super) fn store_ended(&mut self, now: Duration, why: &str, out: &mut Vec<FlowOutput>) {
        if !std::mem::replace(&mut self.store, false) {
            return;
        }
        let why = format!("the position store of flow {} ended: {why}", self.config.name);
        match self.phase {
            FlowPhase::GivenUp { .. } | FlowPhase::Closing { store: false } | FlowPhase::Stopped => {}
            FlowPhase::Closing { store: true } => self.stop(out),
            FlowPhase::Draining => self.cut_drain(now, why, out),
            _ => {
                self.phase = FlowPhase::Stopped;
                out.push(FlowOutput::Failed(why));
            }
        }
    }

    fn stop(&mut self, out: &mut Vec<FlowOutput>) {
        self.phase = FlowPhase::Stopped;
        out.push(FlowOutput::Stopped { left_behind: self.left_behind });
    }
}
