//! What a running mesh knows of offsets and groups, for whoever shows it; asks nobody.

use std::sync::Arc;

use super::actor::MeshParts;
use super::shared::GroupsSnapshot;
use crate::model::{Alias, FlowName, TopicPartition};
use crate::offsets::{Direction, TranslatedOffset};

/// A flow with its two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowEnds {
    /// The flow.
    pub flow: FlowName,
    /// Its source.
    pub from: Alias,
    /// Its target.
    pub to: Alias,
}

/// Offsets and groups of a mesh at this moment.
pub trait OffsetsView: Send + Sync {
    /// The flows, by name.
    fn flows(&self) -> Vec<FlowEnds>;

    /// Translates an offset; the partition is named as on the side that the offset is of. `None` if there is no map.
    fn translate(
        &self,
        flow: &FlowName,
        partition: &TopicPartition,
        offset: i64,
        direction: Direction,
    ) -> Option<TranslatedOffset>;

    /// A flow's groups as of its last round; `None` if there is no such flow.
    fn groups(&self, flow: &FlowName) -> Option<GroupsSnapshot>;
}

/// The view of a running mesh.
pub(super) struct MeshView {
    pub(super) parts: Arc<MeshParts>,
}

impl OffsetsView for MeshView {
    fn flows(&self) -> Vec<FlowEnds> {
        let ends = self.parts.flows().map(|flow| FlowEnds {
            flow: flow.spec.name.clone(),
            from: flow.spec.from.clone(),
            to: flow.spec.to.clone(),
        });
        ends.collect()
    }

    fn translate(
        &self,
        flow: &FlowName,
        partition: &TopicPartition,
        offset: i64,
        direction: Direction,
    ) -> Option<TranslatedOffset> {
        let maps = &self.parts.flow(flow)?.maps;
        if direction == Direction::Forward {
            let map = maps.get(partition)?;
            let map = map.lock();
            return Some(TranslatedOffset::by_map(partition, &map, offset, direction));
        }
        maps.iter().filter(|(source, _)| source.partition == partition.partition).find_map(|(source, map)| {
            let map = map.lock();
            let is_it = map.identity().remote_topic == partition.topic;
            is_it.then(|| TranslatedOffset::by_map(&source, &map, offset, direction))
        })
    }

    fn groups(&self, flow: &FlowName) -> Option<GroupsSnapshot> {
        Some(self.parts.flow(flow)?.groups.snapshot())
    }
}
