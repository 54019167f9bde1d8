//! Offsets of consumer groups: which offset on one side a committed offset of the other side means. Pure.

mod emission;
mod identity;
mod map;
mod translation;

pub use emission::{Emitted, due};
pub use identity::MapIdentity;
pub use map::{Interval, OffsetMap};
pub use translation::Translation;
