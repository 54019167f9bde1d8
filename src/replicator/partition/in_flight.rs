//! The batches between fetch and acknowledgement, oldest first.

use std::collections::VecDeque;

use crate::model::BatchInfo;

/// Batches that were taken from the source and whose records are not all acknowledged.
///
/// Ranges without records ride along: they move the position only once all before them is acknowledged.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    queue: VecDeque<BatchInfo>,
    bytes: usize,
}

impl InFlight {
    pub(super) fn push(&mut self, info: BatchInfo) {
        // The shell drops a range without records at once, so it holds nothing.
        if info.records > 0 {
            self.bytes += info.bytes;
        }
        self.queue.push_back(info);
    }

    /// The oldest write.
    pub(super) fn oldest(&self) -> Option<&BatchInfo> {
        self.queue.front()
    }

    /// Takes the oldest write out.
    pub(super) fn pop(&mut self) -> Option<BatchInfo> {
        let info = self.queue.pop_front()?;
        if info.records > 0 {
            self.bytes -= info.bytes;
        }
        Some(info)
    }

    /// Takes the oldest range out if it has no records to wait for.
    pub(super) fn pop_empty(&mut self) -> Option<BatchInfo> {
        self.queue.pop_front_if(|info| info.records == 0)
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that the writes hold of the memory budget.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
