//! The offset maps of one flow. They survive its actors.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::model::TopicPartition;
use crate::offsets::{MapBudget, MapIdentity, OffsetMap};
use crate::replicator::partition::Resolution;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Anchors, Position};
    use crate::model::{Segment, TopicId};
    use crate::offsets::Translation;

    fn resolution(source_next: i64, target_next: i64, matched: Vec<Segment>) -> Resolution {
        let position = Position {
            source_cluster: String::new(),
            target_cluster: String::new(),
            source_topic_id: TopicId::default(),
            remote_topic: "A.orders".into(),
            target_topic_id: TopicId::default(),
            source_epoch: -1,
            target_epoch: -1,
            source_next,
            target_next,
            producer: None,
            fingerprint: String::new(),
            clean: false,
            anchors: Anchors::default(),
            written_ms: 0,
        };
        Resolution {
            source_next,
            target_next,
            source_epoch: -1,
            leader_epoch: -1,
            target_epoch: -1,
            matched,
            position,
            events: Vec::new(),
            save: false,
        }
    }

    #[test]
    fn a_map_begins_where_the_first_pair_was_found_and_outlives_its_partition() {
        let budget = MapBudget::new(1 << 20);
        let book = MapBook::new(budget.clone());
        let source = TopicPartition::new("orders", 0);
        assert!(book.get(&source).is_none());
        let found = vec![Segment { source_base: 40, target_base: 30, count: 5 }];
        let map = book.resume(&source, &resolution(45, 35, found));
        assert_eq!(map.lock().forward(42), Translation::Exact(32));
        assert_eq!(map.lock().forward(39), Translation::Unknown);
        map.lock().acknowledged(&[Segment { source_base: 45, target_base: 35, count: 5 }], 50);

        // The partition's next life goes on with it.
        let again = book.resume(&source, &resolution(50, 40, Vec::new()));
        assert!(Arc::ptr_eq(&map, &again));
        assert_eq!(again.lock().forward(48), Translation::Exact(38));
        assert_eq!(book.iter().count(), 1);
        assert!(budget.used_bytes() > 0, "it counts");
        drop((map, again));
        book.replace(HashMap::new());
        assert_eq!((book.iter().count(), budget.used_bytes()), (0, 0));
    }
}
