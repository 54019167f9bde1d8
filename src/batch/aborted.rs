//! Which batches a `read_committed` reader skips.

use std::collections::{HashSet, VecDeque};

use super::cursor::Cursor;
use super::{BatchError, BatchProblem, RawBatch};

/// What a control batch marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// The producer's transaction was committed.
    Commit,
    /// The producer's transaction was aborted.
    Abort,
    /// A marker of another type, by its number; none of them is data.
    Other(i16),
}

/// What a control batch marks; `None` for data, and for a control batch that the cleaner emptied.
///
/// Fails if the marker can't be read: guessing would drop or deliver a transaction.
pub fn control_kind(batch: &RawBatch) -> Result<Option<ControlKind>, BatchError> {
    if !batch.header().is_control() {
        return Ok(None);
    }
    let Some(marker) = batch.records()?.into_iter().next() else {
        return Ok(None);
    };
    let unreadable = BatchProblem::Malformed("its control record has no readable key");
    let Some(key) = marker.key else {
        return Err(unreadable.at(batch.header().base_offset));
    };
    let mut cursor = Cursor::new(&key);
    // Kafka reads any version's first four bytes alike: later ones may only append.
    match (cursor.i16(), cursor.i16()) {
        (Ok(0..), Ok(0)) => Ok(Some(ControlKind::Abort)),
        (Ok(0..), Ok(1)) => Ok(Some(ControlKind::Commit)),
        (Ok(0..), Ok(other)) => Ok(Some(ControlKind::Other(other))),
        _ => Err(unreadable.at(batch.header().base_offset)),
    }
}

/// What a `read_committed` reader does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchContent {
    /// Data to be read.
    Data,
    /// A marker; its offsets are passed over.
    Control,
    /// Data of an aborted transaction; its offsets are passed over.
    Aborted,
}

/// Decides batch by batch, from the aborted transactions that a fetch response lists (KIP-98).
///
/// A filter serves one partition of one response, whose batches are given to it in offset order.
#[derive(Debug)]
pub struct AbortedFilter {
    /// Aborted transactions that start beyond the batches seen, by first offset.
    ahead: VecDeque<(i64, i64)>,
    /// Producers inside an aborted transaction.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// A filter for a response that lists these aborted transactions as (producer id, first offset).
    pub fn new(mut aborted: Vec<(i64, i64)>) -> Self {
        aborted.sort_unstable_by_key(|(_, first_offset)| *first_offset);
        Self { ahead: aborted.into(), aborting: HashSet::new() }
    }

    /// Takes the next batch. Fails if it is a marker that can't be read.
    pub fn takes(&mut self, batch: &RawBatch) -> Result<BatchContent, BatchError> {
        let header = batch.header();
        let last_offset = header.last_offset();
        while let Some((producer, _)) = self.ahead.pop_front_if(|(_, first)| *first <= last_offset) {
            self.aborting.insert(producer);
        }
        if header.is_control() {
            if control_kind(batch)? == Some(ControlKind::Abort) {
                self.aborting.remove(&header.producer_id);
            }
            return Ok(BatchContent::Control);
        }
        if header.is_transactional() && self.aborting.contains(&header.producer_id) {
            return Ok(BatchContent::Aborted);
        }
        Ok(BatchContent::Data)
    }
}
