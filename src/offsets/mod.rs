//! Offsets of consumer groups: which offset on one side a committed offset of the other side means. Pure.

mod answer;
mod budget;
mod changes;
mod chunks;
mod emission;
pub mod groups;
mod identity;
mod interval;
mod kept_pairs;
mod map;
mod record;
mod stored;
pub mod sync;
mod translate;
mod translation;
mod varint;

#[cfg(test)]
mod tests;

pub use answer::{Direction, TranslatedOffset};
pub use budget::MapBudget;
pub use changes::ChunkChange;
pub use emission::{Emitted, due};
pub use identity::MapIdentity;
pub use interval::Interval;
pub use map::OffsetMap;
pub use translation::Translation;
