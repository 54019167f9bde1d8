//! Keeping the offset maps: in memory for the flow's actors, in `__mirrormesh-offsets.<source>` for the next start.
//!
//! The position store writes what changed in a map before the positions that need it, so a stored position never
//! stands above what the stored map knows. A map that got further than its position is cut when the partition
//! resolves, and what the tail match finds is put back.

mod book;
mod loaded;
mod syncs;
mod topic;
mod trim;

pub use book::{MapBook, SharedMap};
pub use loaded::{DamagedMap, LoadedOffsets};
pub(super) use syncs::OffsetSyncs;
pub use topic::{OffsetsError, OffsetsTopic};
pub(super) use trim::MapTrim;
