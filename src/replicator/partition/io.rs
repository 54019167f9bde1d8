//! What is said to the machine, and what it asks for.

use std::time::Duration;

use crate::formats::Position;
use crate::model::{BatchInfo, Event, Fault, Generation, Segment, WriteErrorClass};

/// What a machine is told once.
#[derive(Clone, Debug)]
pub struct PartitionConfig {
    /// The least time between two saved positions of a partition (`positions.interval`).
    pub positions_interval: Duration,
    /// Seeds the jitter of the back-off: different for every partition, fixed in tests.
    pub seed: u64,
    /// Names flow, topic and partition in the faults that the machine itself finds.
    pub place: String,
}

/// How far a partition got: every source record before `source_next` is acknowledged on the target, or was not
/// to be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replicator) struct Reached {
    /// Next source offset to mirror.
    pub source_next: i64,
    /// Target offset that the next record is expected to get.
    pub target_next: i64,
    /// An epoch of the source's leader under which everything before `source_next` was in the log; −1 when unknown.
    pub source_epoch: i32,
    /// Leader epoch of the target partition when it was last looked at; −1 when unknown.
    pub target_epoch: i32,
}

/// Where a resolving partition was found to go on; made by [`ResumeVerdict::conclude`](crate::replicator::resume::ResumeVerdict).
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// Next source offset to mirror.
    pub source_next: i64,
    /// Target offset that the next record should get: the target's log end.
    pub target_next: i64,
    /// Source leader epoch that goes with `source_next`; −1 when unknown.
    pub source_epoch: i32,
    /// Epoch of the source's leader when it was looked at; −1 when unknown.
    pub leader_epoch: i32,
    /// Leader epoch of the target partition when it was looked at; −1 when unknown.
    pub target_epoch: i32,
    /// Pairs found on the target behind the saved position.
    pub matched: Vec<Segment>,
    /// The same as a position to be stored: names the logs it speaks of, with the anchors that still hold.
    pub position: Position,
    /// What was found on the way.
    pub events: Vec<Event>,
    /// Whether the stored position does not say exactly this yet, or calls the last stop clean. It is then saved
    /// before anything is fetched: a record may only reach the target under a position that leads back to it.
    pub save: bool,
}

/// What happens to a partition. `now` is given beside it, from a monotonic clock.
#[derive(Clone, Debug)]
pub enum PartitionInput {
    /// The partition is given to this process, or its actor was restarted.
    Start,
    /// The lane is open under the machine's generation.
    LaneOpened,
    /// Finding out where to go on succeeded.
    Resolved(Box<Resolution>),
    /// It did not: the cluster or topic is away for now. The text names what is waited for.
    ResolveWaits(String),
    /// It did not: a person has to act.
    ResolveFailed(Fault),
    /// A batch from the source.
    Fetched(BatchInfo),
    /// The oldest write in flight is on the target.
    Acknowledged {
        /// As in the batch's [`BatchInfo`].
        source_next: i64,
        /// Target offset after the last record; `None` when no record of the batch was written.
        target_next: Option<i64>,
        /// Which source offset went to which target offset, in offset order.
        segments: Vec<Segment>,
    },
    /// A write failed; all in flight are void.
    WriteFailed {
        /// What it means for those after it.
        class: WriteErrorClass,
        /// What to tell a person.
        fault: Fault,
    },
    /// The source can't be read, and fetching has stopped; `retry` when it is likely to pass by itself.
    SourceFailed {
        /// What to tell a person.
        fault: Fault,
        /// Whether fetching again from the same offset may help.
        retry: bool,
    },
    /// The source was re-created, truncated, or its leader changed epoch in a way that must be checked.
    SourceMoved,
    /// The target's topic id or leader epoch changed.
    TargetMoved,
    /// The session is gone.
    SessionLost(String),
    /// How far the source could be mirrored now, as its leader says.
    Bounds {
        /// End under the flow's isolation.
        end: i64,
        /// Epoch of the leader that answered; −1 when unknown.
        leader_epoch: i32,
    },
    /// Whether fetching waits for room in the memory budget, or for a quota: then standing still is no fault.
    CreditBlocked(bool),
    /// An operator pauses.
    Pause,
    /// An operator resumes; a faulted or waiting partition tries again at once.
    Resume,
    /// Finish what is in flight and stop.
    Drain,
    /// The position that was asked to be saved is durable.
    PositionSaved,
    /// The position that was asked to be saved is not durable; it is asked for again after a while.
    PositionFailed(Fault),
    /// A deadline passed.
    Tick,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionOutput {
    /// Open the lane under this generation. Waits for the next session where the current one is lost.
    OpenLane(Generation),
    /// Find out where to go on (`resume` and `tail` decide; the shell asks the clusters), starting from
    /// [`PartitionMachine::position`](super::PartitionMachine::position) or else the stored position.
    Resolve,
    /// Fetch from here.
    Fetch {
        /// Source offset.
        offset: i64,
        /// Source epoch that goes with it; −1 when unknown.
        leader_epoch: i32,
    },
    /// Stop fetching.
    StopFetch,
    /// Write the batch that was just fetched.
    Write,
    /// Drop the batch that was just fetched: it is out of place, or has no records to write.
    Discard,
    /// Every source offset before `source_next` is done with; these records were acknowledged on the way there, and
    /// are where they should be. For the offset map: comes before the [`PartitionOutput::SavePosition`] that needs it.
    Mirrored {
        /// Next source offset.
        source_next: i64,
        /// Which source offset went to which target offset; empty for a range without records.
        segments: Vec<Segment>,
    },
    /// Save this position; `written_ms` and `producer` are the shell's to fill in. `clean` says that nothing is in
    /// flight, and that nothing more is written before a position that isn't clean is saved.
    SavePosition(Box<Position>),
    /// Tell the operator.
    Report(Event),
    /// The partition is done; close the lane and stop.
    Stopped,
}
