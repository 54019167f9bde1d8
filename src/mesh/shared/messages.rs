//! What actors of a flow are told: protocols that are known below the actors, so that they need not know each other.

use std::sync::Arc;

use ractor::{ActorRef, RpcReplyPort};
use tokio::task::JoinError;

use crate::engine::{EngineError, LaneEvent, LaneOpened, Session};
use crate::formats::{Claim, Position};
use crate::model::{Fault, Generation, TopicPartition};
use crate::replicator::partition::Resolution;
use crate::wire::WireError;

/// What a partition is told.
pub(crate) enum PartitionMsg {
    /// From the lane.
    Lane(Generation, LaneEvent),
    /// The lane is open, or can't be.
    Opened(Generation, Result<(Arc<dyn Session>, LaneOpened), EngineError>),
    /// Where to go on was found, or not.
    Resolved(Generation, Box<Result<Resolution, Unresolved>>),
    /// The position handed to the store is durable.
    Saved,
    /// The position handed to the store is not durable.
    NotSaved(Fault),
    /// The source can be mirrored up to here, says a leader of this epoch.
    End {
        /// The end under the flow's isolation.
        end: i64,
        /// The leader's epoch.
        leader_epoch: i32,
    },
    /// The source was re-created or changed its leader.
    SourceMoved,
    /// The target was re-created or changed its leader.
    TargetMoved,
    /// Stop fetching, stay.
    Pause,
    /// Go on, and try again what waits.
    Resume,
    /// Finish what is in flight, save, stop.
    Drain,
    /// The lane is closed.
    Closed,
    /// What ran beside the actor panicked.
    Panicked(JoinError),
    /// A deadline passed.
    Tick,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Unresolved {
    /// Something outside is awaited.
    Waits(String),
    /// A person has to act.
    Fault(Fault),
}

/// What the store is told.
pub(crate) enum StoreMsg {
    /// Save a position; the partition is told when it is durable.
    Save(Box<Save>),
    /// Save what changed in these partitions' offset maps, though their positions stay.
    SaveMaps(Vec<TopicPartition>),
    /// A process that has lost the flow wrote over this partition's position: write it again.
    Overwritten(TopicPartition),
    /// A write is over.
    Written(Result<(), WireError>),
    /// Another process claimed the flow.
    OtherClaim(Claim),
    /// Write what is left, release the claim, answer, stop.
    Drain(RpcReplyPort<()>),
    /// A write or the reader of the tail panicked.
    Panicked(JoinError),
}

/// A position to be saved.
pub(crate) struct Save {
    /// Whose.
    pub partition: TopicPartition,
    /// The position.
    pub position: Position,
    /// Told when it is durable.
    pub reply: ActorRef<PartitionMsg>,
}
