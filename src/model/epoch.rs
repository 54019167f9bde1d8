//! Leader epochs.

/// Where a leader epoch ended in a log (KIP-101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch of the log that is not above the one asked for; −1 when there is none, or the broker doesn't
    /// say.
    pub epoch: i32,
    /// The offset after its last record; −1 when there is none.
    pub end_offset: i64,
}
