//! What is to be done about a flow's consumer groups: what was read of them, what follows from it, what is shown of it.
//! Pure: `mesh` reads, writes and tells.
//!
//! A round goes so: [`GroupReading`] translates what the source has committed (checkpoints are made of it),
//! [`Judge::judge`] makes [`GroupWork`] of both sides, [`GroupWork::keep_within`] and [`GroupWork::plan`] prepare its
//! writes, [`GroupWork::settle`] takes what became of them, and [`GroupWork::into_status`] shows it.

mod book;
mod judge;
mod reading;
mod refusal;
mod status;
mod topics;
mod writes;

#[cfg(test)]
mod tests;

pub use book::SyncBook;
pub use judge::{CommitPlaces, GroupWork, Judge, PartitionWork};
pub use reading::{Commits, GroupReading, OffsetReading, SideReading};
pub use status::{PartitionFacts, state_text};
pub use topics::TopicPairs;
pub use writes::WriteOutcome;
