//! The records other programs read, and our own: MirrorMaker 2 formats, positions, claims, offset maps. Pure.
//!
//! [`Heartbeat`], [`Checkpoint`] and [`OffsetSync`] are MirrorMaker 2's, byte for byte. [`Position`], [`Claim`]
//! and [`GroupSync`] are ours: JSON, so that a console consumer is enough to see where a flow stands.

mod anchors;
mod checkpoint;
mod error;
mod heartbeat;
mod json;
mod offset_map;
mod offset_sync;
mod position;
mod primitives;

pub(crate) use anchors::least_missed;
pub use anchors::{Anchor, Anchors, MAX_ANCHORS};
pub use checkpoint::Checkpoint;
pub use error::FormatError;
pub use heartbeat::Heartbeat;
pub use offset_map::{GroupSync, GroupSyncKey, MapKey, OffsetsEntry, SyncedPartition, offsets_topic};
pub use offset_sync::OffsetSync;
pub use position::{
    Claim, ClaimScope, Command, Position, PositionEntry, PositionKey, ProducerState, StoredPosition, Token,
    decode, positions_topic,
};
