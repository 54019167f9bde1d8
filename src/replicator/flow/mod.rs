//! The flow as a state machine: inputs in, outputs out, the next deadline. No clock, no I/O, no actor.
//!
//! ```text
//!                both clusters there
//!  ──▶ waiting ─────────▶ claiming ──claimed──▶ running ──drain──▶ draining ──all ended, or──▶ closing ──▶ stopped
//!         ▲                  │                     │                           out of time    session,
//!         └────claim failed──┘                     │ another's claim, a loop                  then store
//!                                                  ▼                                             ▲
//!         two aliases of one cluster ──────▶ given up ───────────────drain───────────────────────┘
//! ```
//!
//! While it runs it has a session (lost ones are closed, then built anew), jobs, and the partitions of every
//! topic that is on both sides. Which topics those are is found out beside it, one question at a time; an answer
//! counts only if it belongs to the newest question, and starts no topic that the newest catalogue does not have.
//!
//! A flow that is paused keeps its claim, its session and its positions; only its partitions stop fetching. A pause
//! reaches a partition however late that starts.

mod finish;
mod io;
mod partitions;
mod session;
mod start;
mod status;
mod topics;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use io::{
    BothClusters, ClusterFacts, FlowCatalogue, FlowConfig, FlowInput, FlowMemory, FlowOutput, Note,
    PartitionStart, ReadyTopic, Reconciliation, SourceEnds, Told,
};

use super::backoff::RetryBackoff;
use crate::model::status::FlowState;
use finish::DrainTimes;
use partitions::Partitions;
use session::{Jobs, SessionSlot};
use topics::Topics;

/// Faulted topics, limits and loops are looked after this often.
const UPKEEP: Duration = Duration::from_secs(5);
/// What lived this long counts as a success: its next restart waits as short as the first.
const SUCCESS: Duration = Duration::from_secs(60);
/// Longest back-off: what a person mends is noticed within a minute.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Where the machine is. Session, jobs and partitions are kept beside it.
#[derive(Clone, Debug, PartialEq)]
enum FlowPhase {
    /// Not started.
    New,
    /// For a cluster, or until the claim is tried again.
    Waiting { failed: Option<FailedClaim> },
    /// The claim is made, and what is stored is read.
    Claiming,
    /// Mirrors.
    Running,
    /// Stopped for good: another process has it, or it must not run.
    GivenUp { state: FlowState, reason: String },
    /// Waits for its partitions.
    Draining,
    /// Waits for the session to close, then for the store.
    Closing { store: bool },
    /// Done.
    Stopped,
}

/// Why the claim was not made, and when it is tried again.
#[derive(Clone, Debug, PartialEq)]
struct FailedClaim {
    state: FlowState,
    reason: String,
    retry_at: Duration,
}

/// The machine.
#[derive(Debug)]
pub struct FlowMachine {
    config: FlowConfig,
    phase: FlowPhase,
    clusters: BothClusters,
    ends: Option<Arc<dyn SourceEnds>>,
    /// Claims tried; names the newest.
    attempts: u64,
    claim_backoff: RetryBackoff,
    /// Whether the position store lives.
    store: bool,
    session: SessionSlot,
    jobs: Jobs,
    topics: Topics,
    partitions: Partitions,
    upkeep_at: Duration,
    drain: Option<DrainTimes>,
    left_behind: usize,
}

impl FlowMachine {
    /// A machine that waits for [`FlowInput::Start`]. `memory` is what the last one of this process left.
    pub fn new(config: FlowConfig, memory: FlowMemory) -> Self {
        let backoff = |salt: u64| RetryBackoff::up_to(LONGEST_BACKOFF, config.seed.wrapping_add(salt));
        Self {
            phase: FlowPhase::New,
            clusters: BothClusters::default(),
            ends: None,
            attempts: 0,
            claim_backoff: backoff(1),
            store: false,
            session: SessionSlot::new(backoff(2)),
            jobs: Jobs::new(backoff(3)),
            topics: Topics::new(memory.first_topics),
            partitions: Partitions::new(config.seed.wrapping_add(4), memory.generations, memory.paused),
            upkeep_at: Duration::ZERO,
            drain: None,
            left_behind: 0,
            config,
        }
    }

    /// Takes an input; what is to be done is appended to `out`, in order.
    pub fn handle(&mut self, now: Duration, input: FlowInput, out: &mut Vec<FlowOutput>) {
        if self.phase == FlowPhase::Stopped {
            return;
        }
        match input {
            FlowInput::Start => self.start(),
            FlowInput::Clusters(clusters) => self.looked_at(*clusters, out),
            FlowInput::Ends(ends) => {
                self.ends = Some(ends);
                self.tell_ends(out);
            }
            FlowInput::Claimed { attempt, token } => self.claimed(now, attempt, token, out),
            FlowInput::ClaimFailed { attempt, needs_person, reason } => {
                self.claim_failed(now, attempt, needs_person, reason, out);
            }
            FlowInput::OtherClaim(claim) => {
                let by =
                    format!("claimed by process {} (pid {} on {})", claim.process, claim.pid, claim.host);
                self.give_up(now, FlowState::Stopped, format!("{by}; this process left it alone"), out);
            }
            FlowInput::StoreEnded(why) => self.store_ended(now, &why, out),
            FlowInput::StoreDrained => self.store_drained(out),
            FlowInput::SessionStarted(generation) => self.session_started(now, generation),
            FlowInput::SessionRefused { generation, reason } => {
                self.session_refused(now, generation, reason, out);
            }
            FlowInput::SessionLost { generation, reason } => self.session_lost(now, generation, reason, out),
            FlowInput::SessionClosed(generation) => self.session_closed(now, generation, out),
            FlowInput::Reconciled { number, outcome } => self.reconciled(now, number, *outcome, out),
            FlowInput::ReconcileFailed { number, reason } => self.reconcile_failed(number, reason, out),
            FlowInput::PartitionEnded { source, generation, failure } => {
                self.partition_ended(now, &source, generation, failure, out);
            }
            FlowInput::PartitionFaulted { source, kind } => self.partitions.faulted(&source, Some(kind)),
            FlowInput::PartitionRecovered(source) => self.partitions.faulted(&source, None),
            FlowInput::JobFailed(failure) => self.job_failed(now, failure, out),
            FlowInput::Upstreams(upstreams) => self.stop_if_loop(now, &upstreams, out),
            FlowInput::Pause => self.pause(true, out),
            FlowInput::Resume => self.pause(false, out),
            FlowInput::Drain { limit } => self.start_drain(now, limit, out),
            FlowInput::Tick => {}
        }
        self.go_on(now, out);
    }

    /// Pauses or resumes. Before the flow runs that is remembered; while it ends, nothing is told any more.
    fn pause(&mut self, paused: bool, out: &mut Vec<FlowOutput>) {
        self.partitions.set_paused(paused);
        if self.phase == FlowPhase::Running {
            self.partitions.tell_all(if paused { Told::Pause } else { Told::Resume }, out);
        }
    }

    /// What follows from the state rather than from the input: ends of phases, deadlines that passed.
    fn go_on(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        match &self.phase {
            FlowPhase::Waiting { .. } => self.try_claim(now, out),
            FlowPhase::Running => {
                if self.session.is_due(now) {
                    self.start_session(out);
                }
                if self.jobs.is_due(now) {
                    self.start_jobs(now, out);
                }
                self.restart_partitions(now, out);
                if now >= self.upkeep_at {
                    self.upkeep(now, out);
                }
            }
            FlowPhase::Draining => self.finish_drain(now, out),
            FlowPhase::Closing { .. } => self.finish_closing(now, out),
            _ => {}
        }
    }

    /// Looks after what is faulted, and for loops.
    fn upkeep(&mut self, now: Duration, out: &mut Vec<FlowOutput>) {
        self.upkeep_at = now + UPKEEP;
        out.push(FlowOutput::Upkeep);
        if self.topics.need_another_look() || self.partitions.has_refused() {
            // One that is under way serves as well.
            if !self.topics.is_asking() {
                self.reconcile(out);
            }
        }
    }
}
