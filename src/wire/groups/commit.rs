//! Commits for groups without members: OffsetCommit.

use crate::wire::client::Wire;

use super::{CommitOutcome, GroupCommit};

impl Wire {
    /// Commits offsets for groups without active members, in the order of the commits.
    pub async fn commit_offsets(&self, commits: Vec<GroupCommit>) -> Vec<(String, CommitOutcome)> {
        let _ = commits;
        todo!()
    }
}
