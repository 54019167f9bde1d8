//! Offsets of consumer groups: which offset on one side a committed offset of the other side means. Pure.

mod answer;
mod emission;
mod identity;
mod map;
pub mod sync;
mod translation;

pub use answer::{Answer, Direction};
pub use emission::{Emitted, due};
pub use identity::MapIdentity;
pub use map::{Interval, OffsetMap};
pub use translation::Translation;
