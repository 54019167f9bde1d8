//! What a process runs beside the machine: partitions and the position store, as small as they can be.

use std::collections::VecDeque;

use mirrormesh::model::{FaultKind, Generation, TopicPartition};

/// A partition's actor.
#[derive(Debug)]
pub struct Partition {
    pub target: TopicPartition,
    /// The session its lane is open in.
    pub lane: Option<Generation>,
    /// What it has written and was acknowledged.
    pub acknowledged: i64,
    /// What it has asked to be saved, and whether that is not answered yet.
    pub asked: i64,
    pub saving: bool,
    pub paused: bool,
    pub draining: bool,
    /// Stopped where it stands: it does nothing any more but end.
    pub killed: bool,
    pub end: Option<i64>,
    /// What it knows of its sides: whether it was told of every move since it looked is checked.
    pub knows: Option<super::checks::Known>,
    pub fault: Option<FaultKind>,
}

/// A position on its way.
#[derive(Clone, Debug)]
pub struct Save {
    pub source: TopicPartition,
    pub position: i64,
}

/// The position store.
#[derive(Debug)]
pub struct Store {
    pub token: i64,
    /// Another claim was read: nothing is written any more.
    pub lost: bool,
    pub draining: bool,
    pub pending: VecDeque<Save>,
}

impl Store {
    pub fn new(token: i64) -> Self {
        Self { token, lost: false, draining: false, pending: VecDeque::new() }
    }

    /// Takes a position in; the newest of a partition covers those before it.
    pub fn save(&mut self, save: Save) {
        self.pending.retain(|other| other.source != save.source);
        self.pending.push_back(save);
    }
}
