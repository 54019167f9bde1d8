//! What the mesh keeps in Kafka: positions and claims, offset maps and group syncs, checkpoints.
//!
//! `formats` says what a record looks like, this room reads and writes them. The position store writes what changed in a
//! map before the positions that need it, so a stored position never stands above what the stored map knows. A map that
//! got further than its position is cut when the partition resolves, and what the tail match finds is put back.

mod book;
mod checkpoints;
mod claims;
pub mod internal_topics;
mod loaded;
mod maps;
mod offsets;
mod positions;
mod process;

pub use book::PositionBook;
pub use checkpoints::{Checkpoints, StoredCheckpoints, stored_checkpoints};
pub use claims::ClaimedPositions;
pub use loaded::{DamagedMap, LoadedOffsets};
pub use maps::{MapBook, SharedMap};
pub use offsets::{OffsetsError, OffsetsTopic};
pub use positions::{LoadError, PositionsTopic};
pub use process::ProcessIdentity;

/// The target of this room's log lines, for filters such as `mirrormesh::store=debug`.
pub(crate) const LOG: &str = "mirrormesh::store";
