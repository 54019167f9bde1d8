//! The offset maps of one flow. They survive its actors.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::model::TopicPartition;
use crate::offsets::{MapBudget, MapIdentity, OffsetMap};
use crate::replicator::Resolution;

/// A map that several hands hold: its partition adds to it, the store saves it, groups are translated by it.
pub type SharedMap = Arc<Mutex<OffsetMap>>;

/// The offset maps of one flow, by source partition.
#[derive(Debug)]
pub struct MapBook {
    maps: RwLock<HashMap<TopicPartition, SharedMap>>,
    budget: Arc<MapBudget>,
}

impl MapBook {
    /// No maps yet; those to come count on `budget`.
    pub fn new(budget: Arc<MapBudget>) -> Self {
        Self { maps: RwLock::default(), budget }
    }

    /// The map of a partition; `None` while it was never resolved and none was stored.
    pub fn get(&self, source: &TopicPartition) -> Option<SharedMap> {
        self.maps.read().get(source).cloned()
    }

    /// All maps there are at this moment.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, SharedMap)> + use<> {
        let maps = self.maps.read();
        let all: Vec<_> = maps.iter().map(|(source, map)| (source.clone(), map.clone())).collect();
        all.into_iter()
    }

    /// Replaces everything by what was loaded.
    pub fn replace(&self, loaded: HashMap<TopicPartition, OffsetMap>) {
        let shared = loaded.into_iter().map(|(source, mut map)| {
            map.set_budget(self.budget.clone());
            (source, Arc::new(Mutex::new(map)))
        });
        *self.maps.write() = shared.collect();
    }

    /// Brings a partition's map in line with where it goes on, and returns it.
    ///
    /// Without a map one begins here: at the first pair that was found on the target, or else where the next record
    /// goes.
    pub fn resume(&self, source: &TopicPartition, resolution: &Resolution) -> SharedMap {
        let identity = MapIdentity {
            source_topic_id: resolution.position.source_topic_id,
            remote_topic: resolution.position.remote_topic.clone(),
            target_topic_id: resolution.position.target_topic_id,
        };
        let (source_next, target_next) = (resolution.source_next, resolution.target_next);
        let map = self.get(source).unwrap_or_else(|| {
            let begin = resolution.matched.first();
            let begin = begin.map_or((source_next, target_next), |pair| (pair.source_base, pair.target_base));
            let mut map = OffsetMap::new(identity.clone(), begin.0, begin.1);
            map.set_budget(self.budget.clone());
            self.maps.write().entry(source.clone()).or_insert(Arc::new(Mutex::new(map))).clone()
        });
        map.lock().resume(&identity, source_next, target_next, &resolution.matched);
        map
    }
}
