//! Consumer groups: which there are, what they committed, and commits for them.

mod commit;
mod committed;
mod list;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FindCoordinatorResponse;

use crate::wire::testing::Request;

/// What the standard broker answers to FindCoordinator, but with this code for the groups named.
fn coordinators_but(request: &Request, code: ResponseError, failing: &[&str]) -> FindCoordinatorResponse {
    let mut answer = request.coordinators();
    for found in &mut answer.coordinators {
        if failing.contains(&found.key.as_str()) {
            found.error_code = code.code();
            found.node_id = (-1).into();
        }
    }
    answer
}
