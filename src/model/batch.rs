//! What the state machine knows of a batch: everything but its bytes.

/// Facts about a batch that was fetched from a source partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Source offset at which the batch starts: where the fetch before it ended.
    /// At or below the first record's offset; gaps of compaction and markers belong to the batch after them.
    pub source_base: i64,
    /// Source offset from which to go on after this batch.
    pub source_next: i64,
    /// Records to be written to the target; 0 when the range held only markers or aborted records.
    pub records: u32,
    /// Bytes that the batch holds of the memory budget.
    pub bytes: usize,
    /// Leader epoch of the source under which the last record was written; −1 when it is not known.
    pub leader_epoch: i32,
    /// Largest record timestamp, in milliseconds since the epoch; −1 when there is none.
    pub max_timestamp_ms: i64,
}

/// A run of records whose offsets rise by one on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First offset on the source.
    pub source_base: i64,
    /// First offset on the target.
    pub target_base: i64,
    /// How many records.
    pub count: u32,
}

impl Segment {
    /// Source offset after the run.
    pub fn source_next(&self) -> i64 {
        self.source_base + i64::from(self.count)
    }

    /// Target offset after the run.
    pub fn target_next(&self) -> i64 {
        self.target_base + i64::from(self.count)
    }
}
