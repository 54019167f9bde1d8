//! What a map answers.

use crate::model::groups::Worth;

/// Where a group that committed an offset on one side goes on on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Here: every record before it was read, none after it.
    Exact(i64),
    /// Here at the earliest: no unread record lies before it, some that follow may have been read.
    EarliestSafe(i64),
    /// Nobody knows: the partition was mirrored before there was a map.
    Unknown,
}

impl Translation {
    /// The offset, if there is one.
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Exact(offset) | Self::EarliestSafe(offset) => Some(offset),
            Self::Unknown => None,
        }
    }

    /// What the answer is worth.
    pub fn worth(self) -> Worth {
        match self {
            Self::Exact(_) => Worth::Exact,
            Self::EarliestSafe(_) => Worth::EarliestSafe,
            Self::Unknown => Worth::Unknown,
        }
    }
}
