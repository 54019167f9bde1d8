//! Which chunks of a map have changed since they were stored.

use std::collections::BTreeSet;

/// What is to be stored of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkChange {
    /// Store this as the chunk's value.
    Write {
        /// The chunk's number.
        chunk: u64,
        /// The record's value.
        value: Vec<u8>,
    },
    /// Store a tombstone for the chunk.
    Remove {
        /// The chunk's number.
        chunk: u64,
    },
}

impl ChunkChange {
    /// The chunk's number.
    pub fn chunk(&self) -> u64 {
        match self {
            Self::Write { chunk, .. } | Self::Remove { chunk } => *chunk,
        }
    }
}

/// The numbers of chunks that changed, or are gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    changed: BTreeSet<u64>,
    /// Being stored.
    taken: BTreeSet<u64>,
}

impl Changes {
    pub(super) fn add(&mut self, chunk: u64) {
        self.changed.insert(chunk);
    }

    /// Takes what changed, in order.
    pub(super) fn take(&mut self) -> Vec<u64> {
        let numbers = self.changed.iter().copied().collect();
        self.taken.append(&mut self.changed);
        numbers
    }

    pub(super) fn saved(&mut self) {
        self.taken.clear();
    }

    pub(super) fn failed(&mut self) {
        self.changed.append(&mut self.taken);
    }

    /// Memory that it takes, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.changed.len() + self.taken.len()) * size_of::<u64>()
    }
}
