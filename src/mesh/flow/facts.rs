//! What the machine has to know of the clusters, as the cluster's room has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster::{Catalogue, ClusterHandle, Ends};
use crate::mesh::shared::FlowContext;
use crate::model::{Isolation, TopicId, TopicName, TopicPartition};
use crate::replicator::flow::{BothClusters, ClusterFacts, FlowCatalogue, SourceEnds};

impl FlowCatalogue for Catalogue {
    fn topics(&self) -> BTreeSet<TopicName> {
        self.topics.keys().cloned().collect()
    }

    fn has_topic(&self, topic: &TopicName) -> bool {
        self.topics.contains_key(topic)
    }

    fn topic_id(&self, topic: &TopicName) -> TopicId {
        Catalogue::topic_id(self, topic)
    }

    fn leader_epoch(&self, partition: &TopicPartition) -> Option<i32> {
        Some(self.partition(partition)?.leader_epoch)
    }
}

/// Ends under one isolation.
#[derive(Debug)]
struct EndsUnder {
    isolation: Isolation,
    ends: Arc<Ends>,
}

impl SourceEnds for EndsUnder {
    fn end(&self, source: &TopicPartition) -> Option<i64> {
        self.ends.get(&(self.isolation, source.clone())).copied()
    }
}

/// Both clusters as they are now.
pub(super) fn clusters(flow: &FlowContext) -> BothClusters {
    BothClusters { source: cluster(&flow.source), target: cluster(&flow.target) }
}

fn cluster(handle: &ClusterHandle) -> ClusterFacts {
    let view = handle.watch().borrow().clone();
    ClusterFacts {
        state: view.state,
        reason: view.reason,
        cluster_id: view.catalogue.as_ref().and_then(|catalogue| catalogue.cluster_id.clone()),
        catalogue: view.catalogue.map(|catalogue| catalogue as Arc<dyn FlowCatalogue>),
    }
}

/// The newest ends of the source's partitions.
pub(super) fn ends(flow: &FlowContext) -> Arc<dyn SourceEnds> {
    let ends = flow.source.ends().borrow().clone();
    Arc::new(EndsUnder { isolation: flow.spec.isolation, ends })
}
