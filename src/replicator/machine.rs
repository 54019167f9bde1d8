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

use std::time::Duration;

use crate::model::status::PartitionState;
use crate::model::{BatchInfo, Event, Fault, Generation, Segment, WriteErrorClass};

/// Where a resolving partition was found to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// Next source offset to mirror.
    pub source_next: i64,
    /// Target offset that the next record should get: the target's log end.
    pub target_next: i64,
    /// Source leader epoch of the last mirrored record; −1 when unknown.
    pub source_epoch: i32,
    /// Leader epoch of the target partition when it was looked at; −1 when unknown.
    pub target_epoch: i32,
    /// Pairs found on the target behind the saved position.
    pub matched: Vec<Segment>,
    /// What was found on the way.
    pub events: Vec<Event>,
}

/// What happens to a partition. `now` is given beside it, from a monotonic clock.
#[derive(Clone, Debug)]
pub enum Input {
    /// The partition is given to this process, or its actor was restarted.
    Start,
    /// The lane is open under the machine's generation.
    LaneOpened,
    /// Finding out where to go on succeeded.
    Resolved(Resolution),
    /// It did not: the cluster or topic is away for now. The text names what is waited for.
    ResolveWaits(String),
    /// It did not: a person has to act.
    ResolveFailed(Fault),
    /// A batch from the source.
    Fetched(BatchInfo),
    /// The oldest write in flight is on the target.
    Acknowledged { source_next: i64, target_next: Option<i64>, segments: Vec<Segment> },
    /// A write failed; all in flight are void.
    WriteFailed { class: WriteErrorClass, fault: Fault },
    /// The source can't be read; `retry` when it is likely to pass by itself.
    SourceFailed { fault: Fault, retry: bool },
    /// The source was re-created, truncated, or its leader changed epoch in a way that must be checked.
    SourceMoved,
    /// The target's topic id or leader epoch changed.
    TargetMoved { leader_epoch: i32 },
    /// The session is gone.
    SessionLost(String),
    /// How far the source could be mirrored now: log start, and end under the flow's isolation.
    Bounds { log_start: i64, end: i64 },
    /// An operator pauses.
    Pause,
    /// An operator resumes.
    Resume,
    /// Finish what is in flight and stop.
    Drain,
    /// A position that was asked to be saved is durable.
    PositionSaved,
    /// A deadline passed.
    Tick,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open the lane under this generation.
    OpenLane(Generation),
    /// Find out where to go on (`resume` and `tail` decide; the shell asks the clusters).
    Resolve,
    /// Fetch from here.
    Fetch { offset: i64, leader_epoch: i32 },
    /// Stop fetching.
    StopFetch,
    /// Write the batch that was just fetched.
    Write,
    /// Drop the batch that was just fetched.
    Discard,
    /// Save this position; `clean` when nothing is in flight and the partition stops.
    SavePosition { source_next: i64, target_next: i64, source_epoch: i32, target_epoch: i32, clean: bool },
    /// Tell the operator.
    Report(Event),
    /// The partition is done; close the lane and stop.
    Stopped,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {}

impl Machine {
    /// A machine in `resolving`, with nothing asked yet. `generation` counts on from the last one used.
    pub fn new(_generation: Generation) -> Self {
        unimplemented!()
    }
    /// Takes an input; what is to be done is appended to `out`, in order.
    pub fn handle(&mut self, _now: Duration, _input: Input, _out: &mut Vec<Output>) {
        unimplemented!()
    }
    /// When to call with [`Input::Tick`]; `None` on an idle partition.
    pub fn deadline(&self) -> Option<Duration> {
        unimplemented!()
    }
    /// The state, for the status board.
    pub fn state(&self) -> PartitionState {
        unimplemented!()
    }
}
