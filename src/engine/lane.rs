//! Lanes: a partition's part of a session, and what is said across the seam.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::body::{Body, ForeignBody};
use super::budget::Permit;
use crate::formats::ProducerState;
use crate::model::{
    BatchInfo, Fault, FaultKind, Generation, Segment, TopicId, TopicPartition, WriteErrorClass,
};

/// Names a lane: the source partition.
pub type LaneId = TopicPartition;

/// Where a lane tells what happens. Called from the engine's threads: it must not block. Nor may it call the session
/// about its lane: the lane is held while it tells, so that events leave in order, and the call would wait for itself.
pub type LanePort = Arc<dyn Fn(Generation, LaneEvent) + Send + Sync>;

/// What a partition asks of a session when it opens its lane.
#[derive(Clone)]
pub struct LaneSpec {
    /// The source partition.
    pub source: LaneId,
    /// The partition on the target that takes its records.
    pub target: TopicPartition,
    /// The source topic's id when the lane is opened, by what was last read of the cluster; zero where that is
    /// not known. A topic that was created anew under its name has another.
    pub source_topic_id: TopicId,
    /// The same of the target topic.
    pub target_topic_id: TopicId,
    /// Under which the lane is opened.
    pub generation: Generation,
    /// Where the lane's events go.
    pub port: LanePort,
    /// The producer of the saved position: an engine that chooses its own goes on under it where the target still
    /// knows it, so that late requests of a dead process and ours exclude each other.
    pub producer: Option<ProducerState>,
}

/// What the session knows of a lane when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneOpened {
    /// How far the writes of older generations *of this session* got: (source next, target next) after the last
    /// acknowledged record. `None` on a lane that never wrote in this session, and on one whose writes ended
    /// with an unknown outcome.
    pub acknowledged: Option<(i64, i64)>,
}

/// A batch on its way: facts, its share of the budget, and the bytes.
pub struct Batch {
    /// The facts.
    pub info: BatchInfo,
    /// Its share of the memory budget, freed when the batch is dropped.
    pub permit: Permit,
    /// The records.
    pub body: Body,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What a lane tells its partition.
#[derive(Debug)]
pub enum LaneEvent {
    /// The next batch, in offset order: its `source_base` is where the one before it ended.
    Fetched(Batch),
    /// A batch is on the target. In write order; the segments are in offset order.
    Acknowledged {
        /// As in the batch's [`BatchInfo`].
        source_next: i64,
        /// Target offset after the batch's last record; `None` for a batch without records.
        target_next: Option<i64>,
        /// Which source offset went to which target offset.
        segments: Vec<Segment>,
        /// Keys, values and headers, in bytes.
        bytes: u64,
    },
    /// The source can't be read.
    SourceFailed(SourceError),
    /// A write, and all after it, did not happen or has an unknown outcome.
    WriteFailed(WriteError),
    /// The session's connections are gone; open the lane in the next session.
    SessionLost(String),
    /// Something to report: counts of adjusted records.
    Report(crate::model::Event),
}

/// Why the source of a lane can't be read. Fetching has stopped when one of these is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The offset is not in the log: retention, truncation or re-creation.
    #[error("offset {offset} is not in the source log")]
    OutOfRange {
        /// The offset that was asked for.
        offset: i64,
    },
    /// The log ends earlier in the epoch we read last: it was truncated.
    #[error("the source log was truncated below offset {offset}")]
    Truncated {
        /// The offset that was asked for.
        offset: i64,
    },
    /// Topic or partition don't exist (any more).
    #[error("the source topic or partition does not exist")]
    UnknownPartition,
    /// Our credentials may not read the topic.
    #[error("reading is not authorised: {0}")]
    Unauthorized(String),
    /// A batch is damaged.
    #[error("damaged batch at or after offset {offset}: {detail}")]
    Corrupt {
        /// Where.
        offset: i64,
        /// What the client says.
        detail: String,
    },
    /// Passes by itself; fetching should be started again after a while.
    #[error("{0}")]
    Retriable(String),
}

/// A failed write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("write of source offset {source_offset} failed: {fault}")]
pub struct WriteError {
    /// What it means.
    pub class: WriteErrorClass,
    /// First source offset that is not known to be on the target.
    pub source_offset: i64,
    /// What to tell a person.
    pub fault: Fault,
}

impl WriteError {
    /// A batch was given to the `engine` that another one read. Sessions don't share lanes, so this is a mistake of
    /// ours; the lane is opened again, and reads the batch anew.
    pub(super) fn foreign(engine: &str, source_offset: i64, ForeignBody: ForeignBody) -> Self {
        let fault = Fault::new(
            FaultKind::Other,
            format!("a batch that another engine read was given to the {engine} engine"),
            "nothing to do: the partition is opened again",
        );
        Self { class: WriteErrorClass::Session, source_offset, fault }
    }
}

/// Why a session can't be built or a lane not be opened.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The client refuses its settings.
    #[error("client settings for {cluster}: {detail}")]
    Settings {
        /// The cluster's alias.
        cluster: String,
        /// What the client says.
        detail: String,
    },
    /// The session has ended.
    #[error("the engine session has ended: {0}")]
    SessionLost(String),
}

impl EngineError {
    /// The lane was opened under another generation while it was being opened under this one.
    pub(super) fn taken_over() -> Self {
        Self::SessionLost("the lane was opened again meanwhile".to_owned())
    }
}
