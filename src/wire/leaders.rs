//! Who leads which partition, for those who keep connections to the leaders themselves.

use super::client::Wire;
use super::error::WireError;
use super::view::Leader;
use crate::model::{TopicName, TopicPartition};

impl Wire {
    /// The partition's leader as far as it is known, without asking anyone. Every Metadata answer renews it.
    pub fn known_leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.view().read().leader(partition)
    }

    /// Tells who leads each partition, in the order of the question; asks, in one request, for those not known.
    ///
    /// A partition that is missing, hidden from us or without a leader has its own error. Fails as a whole only if
    /// no broker answers. Cancel safe.
    pub async fn learn_leaders(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<Leader, WireError>)>, WireError> {
        let mut refusals = self.look_up_leaders(partitions.iter()).await?;
        let view = self.view().read();
        let answer = |partition: &TopicPartition| {
            let leader = view.leader(partition).ok_or_else(|| {
                let error = refusals.remove(partition).unwrap_or_else(|| self.no_leader());
                error.about(partition)
            });
            (partition.clone(), leader)
        };
        Ok(partitions.iter().map(answer).collect())
    }

    /// Forgets who leads a topic's partitions: what a broker says who doesn't lead it, or one that can't be reached.
    pub fn forget_leader(&self, topic: &TopicName) {
        self.view().write().forget(topic);
    }
}
