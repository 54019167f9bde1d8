//! What groups have committed: OffsetFetch.

use std::collections::HashMap;

use crate::wire::client::Wire;
use crate::wire::error::WireError;

use super::CommittedOffset;

impl Wire {
    /// Reads all that each group has committed.
    pub async fn committed_offsets(
        &self,
        groups: &[String],
        require_stable: bool,
    ) -> HashMap<String, Result<Vec<CommittedOffset>, WireError>> {
        let _ = (groups, require_stable);
        todo!()
    }
}
