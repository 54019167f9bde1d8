//! Which records of a partition are read.

use serde::{Deserialize, Serialize};

/// Which records are read from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Only records of committed transactions, and those outside any.
    ReadCommitted,
    /// All records, aborted ones included.
    ReadUncommitted,
}
