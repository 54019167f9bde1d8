//! Consumer groups of a flow: read on the source, translated, written as checkpoints, and kept in step on both sides.

mod board;
mod checkpoints;
mod lookup;
mod overview;
mod reading;

pub use board::{GroupBoard, GroupsSnapshot};
pub use checkpoints::{Checkpoints, StoredCheckpoints, stored_checkpoints};
pub use lookup::{AsOf, FlowOffsets, LookupError, SourceOffsets};
pub use overview::Overview;
pub use reading::{GroupReading, OffsetReading};
