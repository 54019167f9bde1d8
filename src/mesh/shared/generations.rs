//! How often the lane of each partition was opened, kept whatever becomes of the actors.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Generation, TopicPartition};

/// The last generation that a partition's actor reached: it writes it here, and its successor counts on from it,
/// because the lane may still hold writes of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastGeneration(Arc<AtomicU64>);

impl LastGeneration {
    /// Notes that a generation is reached.
    pub(crate) fn reached(&self, generation: Generation) {
        self.0.fetch_max(generation.0, Ordering::Relaxed);
    }

    fn get(&self) -> Generation {
        Generation(self.0.load(Ordering::Relaxed))
    }
}

/// The last generations of a flow's partitions, gone ones too: their topic may come back.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    all: Mutex<HashMap<TopicPartition, LastGeneration>>,
}

impl Generations {
    /// Where a partition writes its generation.
    pub(crate) fn of(&self, source: &TopicPartition) -> LastGeneration {
        self.all.lock().entry(source.clone()).or_default().clone()
    }

    /// The last generation of a partition; zero for one that had none.
    pub(crate) fn last(&self, source: &TopicPartition) -> Generation {
        self.all.lock().get(source).map(LastGeneration::get).unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<TopicPartition, Generation> {
        self.all.lock().iter().map(|(source, last)| (source.clone(), last.get())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_outlives_its_actor_and_never_falls() {
        let generations = Generations::default();
        let source = TopicPartition::new("orders", 3);
        assert_eq!(generations.last(&source), Generation::default());
        let writer = generations.of(&source);
        writer.reached(Generation(7));
        drop(writer);
        generations.of(&source).reached(Generation(2));
        assert_eq!(generations.last(&source), Generation(7));
        assert_eq!(generations.all(), [(source, Generation(7))].into());
    }
}
