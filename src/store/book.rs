//! The saved positions of a flow in memory.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::formats::Position;
use crate::model::TopicPartition;

/// The saved positions of a flow. Survives the actors, so a restarted partition goes on from what is durable.
#[derive(Debug, Default)]
pub struct PositionBook {
    positions: Mutex<HashMap<TopicPartition, Position>>,
}

impl PositionBook {
    /// The saved position of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<Position> {
        self.positions.lock().get(partition).cloned()
    }

    /// Notes a position that is durable now.
    pub fn insert(&self, partition: TopicPartition, position: Position) {
        self.positions.lock().insert(partition, position);
    }

    /// Notes a position where there is none.
    pub fn insert_first(&self, partition: TopicPartition, position: Position) {
        self.positions.lock().entry(partition).or_insert(position);
    }

    /// Replaces everything by what was loaded.
    pub fn replace(&self, positions: HashMap<TopicPartition, Position>) {
        *self.positions.lock() = positions;
    }
}
