//! What source and sink know of a lane; it outlives the partition's actor.

use super::sink::Writer;
use crate::engine::budget::Account;
use crate::engine::lane_core::LaneCore;
use crate::engine::session_core::SessionLane;
use crate::engine::{LaneEvent, LaneId, LaneSpec};

/// A lane.
pub(super) struct Lane {
    pub(super) id: LaneId,
    /// Who holds it. Its state may be locked before the writer's, never after.
    pub(super) core: LaneCore,
    /// The lane's part of the flow's account.
    pub(super) account: Account,
    /// The sink's side.
    pub(super) writer: Writer,
}

impl Lane {
    /// A lane as it is opened first.
    pub(super) fn new(spec: &LaneSpec, account: Account) -> Self {
        Self { id: spec.source.clone(), core: LaneCore::new(spec, ()), account, writer: Writer::default() }
    }
}

impl SessionLane for Lane {
    fn lost(&self, event: LaneEvent) {
        self.core.lost(|| {
            self.writer.forget();
            event
        });
    }
}
