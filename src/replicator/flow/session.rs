//! What a running flow keeps alive beside its partitions: its engine session, and its jobs.

use std::time::Duration;

use super::io::{FlowOutput, Note};
use super::{FlowMachine, FlowPhase, SUCCESS};
use crate::model::{Event, Generation};
use crate::replicator::backoff::RetryBackoff;

/// How long a lost session may take to close before the next one is built beside it; what it still sends is
/// found by the resume rule.
const CLOSE_LOST: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionLife {
    /// There is none, and none is asked for.
    None,
    /// It is being built.
    Starting,
    /// It is in use.
    Up { since: Duration },
    /// It is being closed.
    Closing,
    /// The next one is built at the deadline.
    Away { retry_at: Duration },
}

/// The flow's session.
#[derive(Debug)]
pub(super) struct SessionSlot {
    generation: Generation,
    life: SessionLife,
    /// Why it can't be built.
    refused: Option<String>,
    backoff: RetryBackoff,
}

impl SessionSlot {
    pub(super) fn new(backoff: RetryBackoff) -> Self {
        Self { generation: Generation::default(), life: SessionLife::None, refused: None, backoff }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Why there is none, if that is because it can't be built.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.deadline().is_some_and(|at| now >= at)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.life {
            SessionLife::Away { retry_at } => Some(retry_at),
            _ => None,
        }
    }

    /// Closes the session that is in use; false when none is.
    pub(super) fn close(&mut self, limit: Duration, out: &mut Vec<FlowOutput>) -> bool {
        let in_use = matches!(self.life, SessionLife::Up { .. });
        if in_use {
            self.life = SessionLife::Closing;
            out.push(FlowOutput::CloseSession { generation: self.generation, limit });
        } else if matches!(self.life, SessionLife::Away { .. }) {
            self.life = SessionLife::None;
        }
        in_use
    }
}

impl FlowMachine {
    pub(super) fn start_session(&mut self, out: &mut Vec<FlowOutput>) {
        self.session.generation = self.session.generation.next();
        self.session.life = SessionLife::Starting;
        out.push(FlowOutput::StartSession(self.session.generation));
    }

    pub(super) fn session_started(&mut self, now: Duration, generation: Generation) {
        if generation == self.session.generation && self.session.life == SessionLife::Starting {
            self.session.life = SessionLife::Up { since: now };
            self.session.refused = None;
        }
    }

    pub(super) fn session_refused(
        &mut self,
        now: Duration,
        generation: Generation,
        reason: String,
        out: &mut Vec<FlowOutput>,
    ) {
        if generation != self.session.generation || self.session.life != SessionLife::Starting {
            return;
        }
        let retry_in = self.session.backoff.next();
        out.push(FlowOutput::Note(Note::SessionRefused { reason: reason.clone(), retry_in }));
        self.session.refused = Some(reason);
        self.session.life = SessionLife::Away { retry_at: now + retry_in };
    }

    /// The lanes tell the partitions themselves. In a drain each then saves what it has and ends; the session is
    /// closed after the last of them, as if it were not lost.
    pub(super) fn session_lost(
        &mut self,
        now: Duration,
        generation: Generation,
        reason: String,
        out: &mut Vec<FlowOutput>,
    ) {
        let SessionLife::Up { since } = self.session.life else { return };
        if generation != self.session.generation || self.phase != FlowPhase::Running {
            return;
        }
        if now >= since + SUCCESS {
            self.session.backoff.reset();
        }
        out.push(FlowOutput::Report(Event::SessionLost { reason }));
        self.session.close(CLOSE_LOST, out);
    }

    pub(super) fn session_closed(
        &mut self,
        now: Duration,
        generation: Generation,
        out: &mut Vec<FlowOutput>,
    ) {
        if generation != self.session.generation || self.session.life != SessionLife::Closing {
            return;
        }
        self.session.life = SessionLife::None;
        match self.phase {
            FlowPhase::Running => {
                self.session.life = SessionLife::Away { retry_at: now + self.session.backoff.next() };
            }
            FlowPhase::Closing { store: false } => self.close_store(now, out),
            _ => {}
        }
    }
}

/// What the flow does again and again: heartbeats, rounds over groups, and the like. They start together.
#[derive(Debug)]
pub(super) struct Jobs {
    since: Duration,
    restart_at: Option<Duration>,
    backoff: RetryBackoff,
}

impl Jobs {
    pub(super) fn new(backoff: RetryBackoff) -> Self {
        Self { since: Duration::ZERO, restart_at: None, backoff }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.restart_at.is_some_and(|at| now >= at)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.restart_at
    }
}

impl FlowMachine {
    pub(super) fn start_jobs(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        self.jobs.since = now;
        self.jobs.restart_at = None;
        out.push(FlowOutput::StartJobs);
    }

    pub(super) fn stop_jobs(&mut self, out: &mut Vec<FlowOutput>) {
        self.jobs.restart_at = None;
        if self.phase == FlowPhase::Running {
            out.push(FlowOutput::StopJobs);
        }
    }

    pub(super) fn job_failed(&mut self, now: Duration, failure: String, out: &mut Vec<FlowOutput>) {
        let restart_in = (self.phase == FlowPhase::Running).then(|| {
            let jobs = &mut self.jobs;
            if jobs.restart_at.is_none() {
                if now >= jobs.since + SUCCESS {
                    jobs.backoff.reset();
                }
                jobs.restart_at = Some(now + jobs.backoff.next());
            }
            jobs.restart_at.unwrap_or(now).saturating_sub(now)
        });
        out.push(FlowOutput::Note(Note::JobFailed { failure, restart_in }));
    }
}
