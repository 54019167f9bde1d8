//! What a position depends on beside the logs.

use crate::model::Isolation;

/// What a position depends on beside the logs: which records were read.
pub fn fingerprint(isolation: Isolation) -> String {
    match isolation {
        Isolation::ReadCommitted => "read_committed".to_owned(),
        Isolation::ReadUncommitted => "read_uncommitted".to_owned(),
    }
}
