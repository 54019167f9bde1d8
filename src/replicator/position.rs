//! A partition's position as it is stored.

use crate::model::{TopicId, TopicName};

/// A pair of offsets that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Next source offset.
    pub source: i64,
    /// Next target offset.
    pub target: i64,
}

/// How far a partition got, and what that refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Id of the source cluster.
    pub source_cluster: String,
    /// Id of the target cluster.
    pub target_cluster: String,
    /// The source topic's incarnation.
    pub source_topic_id: TopicId,
    /// The topic on the target.
    pub remote_topic: TopicName,
    /// Its incarnation.
    pub target_topic_id: TopicId,
    /// Source epoch that goes with `source_next`; −1 when unknown.
    pub source_epoch: i32,
    /// Leader epoch of the target partition when it was last looked at; −1 when unknown.
    pub target_epoch: i32,
    /// Next source offset to mirror.
    pub source_next: i64,
    /// Target offset that the next record is expected to get.
    pub target_next: i64,
    /// Filter and isolation.
    pub fingerprint: String,
    /// Whether the partition stopped with nothing in flight.
    pub clean: bool,
    /// Older pairs, thinned out.
    pub anchors: Vec<Anchor>,
}
