//! Which groups there are: ListGroups at every broker.

use crate::wire::client::Wire;
use crate::wire::error::WireError;

use super::GroupListing;

impl Wire {
    /// Lists the groups that every broker coordinates, all brokers at once.
    ///
    /// Groups that our credentials may not describe are left out by the brokers. Fails as a whole only when no broker
    /// tells which brokers there are. Cancel safe.
    pub async fn list_groups(&self) -> Result<GroupListing, WireError> {
        todo!()
    }
}
