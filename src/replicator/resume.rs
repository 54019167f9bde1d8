//! Where a partition goes on: the stored position against what both clusters say now.
//!
//! [`decide`] looks at facts only. Where the target holds more than the position says, it asks for a
//! [tail match](super::tail), and [`ResumeVerdict::conclude`] draws the conclusion from both.
//!
//! Losses are told with the range that is gone. Where only the tail can show whether a record was mirrored before
//! it vanished, the report waits for the tail.

mod conclude;
mod decide;
mod facts;
mod fingerprint;

#[cfg(test)]
mod tests;

pub use decide::decide;
pub use facts::{ResumePolicy, SourceFacts, TargetFacts};
pub use fingerprint::fingerprint;

use super::partition::Reached;
use super::tail::TailPlan;
use crate::formats::{Anchors, Position};
use crate::model::{Event, Fault};

/// What the facts come to.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumeVerdict {
    /// What is certain already. Part of [`Resolution::events`](super::partition::Resolution) after [`ResumeVerdict::conclude`].
    pub events: Vec<Event>,
    /// What to do.
    pub next: ResumeNext,
    case: Case,
}

/// What to do after [`decide`].
#[derive(Clone, Debug, PartialEq)]
pub enum ResumeNext {
    /// Go on here.
    Go {
        /// Next source offset.
        source_next: i64,
        /// Target offset that the next record gets: the log end.
        target_next: i64,
    },
    /// Match the target's tail with the source, then conclude.
    MatchTail(TailPlan),
    /// The target's tail may still move: look again shortly, with new facts.
    Settle,
    /// A person has to act.
    Fault(Fault),
}

/// What the conclusion needs to remember of the facts.
#[derive(Clone, Debug, PartialEq)]
struct Case {
    place: String,
    /// Names the logs and the filter of now, for the position to be saved.
    identity: Position,
    /// Where to go on if nothing of the tail matches, and the epoch that goes with it.
    source_from: i64,
    source_epoch: i32,
    /// Source leader's epoch: covers every record that was in the log when the facts were gathered.
    leader_epoch: i32,
    target_next: i64,
    target_epoch: i32,
    /// Source offsets that are gone; lost unless the tail shows that something after them was mirrored.
    overtaken: Option<(i64, i64)>,
    /// Acknowledged target offsets that may be lost; the tail shows whether.
    doubtful: Option<Doubt>,
    /// Pairs of offsets that still hold.
    anchors: Anchors,
    /// The source was cut below the position: pairs above the cut are void.
    cut: bool,
    fail_on_source_reset: bool,
    /// What the stored position says, if it refers to the same logs and filter and isn't clean.
    stored: Option<Reached>,
}

/// Acknowledged target offsets that may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    from: i64,
    to: i64,
    /// Source offset that belongs to `to`.
    source_next: i64,
    /// The target ends below `to`. Otherwise only epochs raise the doubt, as every election does.
    certain: bool,
    /// The loss was reported when it was noticed.
    reported: bool,
}
