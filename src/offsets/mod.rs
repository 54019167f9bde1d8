//! Offsets of consumer groups: which offset on one side a committed offset of the other side means. Pure.

mod budget;
mod changes;
mod chunks;
mod identity;
mod interval;
mod map;
mod record;
mod stored;
mod translate;
mod translation;
mod varint;

#[cfg(test)]
mod tests;

pub use budget::MapBudget;
pub use changes::ChunkChange;
pub use identity::MapIdentity;
pub use interval::Interval;
pub use map::OffsetMap;
pub use translation::Translation;
