//! Consumer groups of a flow: read on the source, translated, written as checkpoints, and kept in step on both sides.

mod board;
mod checkpoints;
mod commit;
mod cycle;
mod lookup;
mod memory;
mod overview;
mod reading;
mod report;
mod topics;
mod work;

pub use board::{GroupBoard, GroupsSnapshot};
pub use checkpoints::{Checkpoints, StoredCheckpoints, stored_checkpoints};
pub(super) use cycle::Cycle;
pub use lookup::{AsOf, FlowOffsets, LookupError, SourceOffsets};
pub use overview::Overview;
pub use reading::{GroupReading, OffsetReading};
