//! How much memory opening one batch may take.

use super::BatchProblem;

/// What [`RawBatch::records`](super::RawBatch::records) may take for one batch: 256 MiB.
///
/// Producers bound a batch *before* compression (1 MiB by default, seldom above 64 MiB), so honest batches stay far
/// below, while a kilobyte of hostile zstd could ask for gigabytes.
pub const DEFAULT_LIMIT_BYTES: usize = 256 << 20;

/// Bytes that may still be taken. Counted are decompressed bytes and the memory of the record list.
#[derive(Debug)]
pub(super) struct Allowance {
    limit_bytes: usize,
    left_bytes: usize,
}

impl Allowance {
    /// An allowance of which nothing is taken.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, left_bytes: limit_bytes }
    }

    /// What is left.
    pub(super) fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    /// Takes the memory of `count` values of type `T`.
    pub(super) fn take<T>(&mut self, count: usize) -> Result<(), BatchProblem> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or_else(|| self.exceeded())?;
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or_else(|| self.exceeded())?;
        Ok(())
    }

    /// The error that says the limit was passed.
    pub(super) fn exceeded(&self) -> BatchProblem {
        BatchProblem::TooLarge { limit_bytes: self.limit_bytes }
    }
}
