//! A group's writes, from what was decided to what became of them.

use super::{GroupWork, PartitionWork, SyncBook, refusal};
use crate::model::groups::{Committed, GroupRefusal};
use crate::model::{Side, TopicPartition};
use crate::offsets::sync::{SyncPair, within};

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The offset is committed.
    Written,
    /// The cluster refused it, or did not answer.
    Refused {
        /// Why.
        refusal: GroupRefusal,
        /// Whether it is certain that nothing was written.
        certain: bool,
    },
    /// The broker's answer leaves it out.
    Unanswered,
}

impl GroupWork {
    /// The writes that are to be made.
    pub fn writes(&self) -> impl Iterator<Item = (&PartitionWork, SyncPair)> {
        self.partitions.iter().filter_map(|partition| Some((partition, partition.write?.0)))
    }

    /// Keeps writes within the logs that they point into. What then changes nothing is none.
    ///
    /// `bounds` tells start and end of the log on a side; a write into one that is not told is left for the next round.
    pub fn keep_within(
        &mut self,
        book: &mut SyncBook,
        bounds: impl Fn(Side, &TopicPartition) -> Option<Result<(i64, i64), GroupRefusal>>,
        now_ms: i64,
    ) {
        for partition in &mut self.partitions {
            let Some((pair, refresh)) = partition.write.take() else { continue };
            let (side, _) = pair.follower();
            let (start, end) = match bounds(side, partition.on(side)) {
                Some(Ok(bounds)) => bounds,
                Some(Err(refusal)) => {
                    partition.refused = Some(refusal);
                    continue;
                }
                None => continue,
            };
            let pair = within(pair, start, end);
            if refresh || partition.facts.at(side) != Some(pair.follower().1) {
                partition.write = Some((pair, refresh));
                continue;
            }
            let memory = book.get(&self.group, &partition.source).in_step(pair, now_ms);
            book.set(&self.group, &partition.source, memory);
        }
    }

    /// Notes the writes as planned; to be durable before they are sent.
    pub fn plan(&self, book: &mut SyncBook) {
        for (partition, pair) in self.writes() {
            let memory = book.get(&self.group, &partition.source).plan(pair);
            book.set(&self.group, &partition.source, memory);
        }
    }

    /// Gives up the writes, because their plans could not be made durable.
    pub fn give_up(&mut self, book: &mut SyncBook, why: &str) {
        for partition in self.partitions.iter_mut().filter(|partition| partition.write.is_some()) {
            partition.write = None;
            partition.refused = Some(refusal::not_remembered(why));
            let memory = book.get(&self.group, &partition.source).refused();
            book.set(&self.group, &partition.source, memory);
        }
    }

    /// Remembers what became of the writes on one side; returns how many were made.
    pub fn settle(
        &mut self,
        book: &mut SyncBook,
        side: Side,
        outcome: impl Fn(&TopicPartition) -> WriteOutcome,
        now_ms: i64,
    ) -> u64 {
        let mut committed = 0;
        for partition in &mut self.partitions {
            let Some((pair, _)) = partition.write.filter(|(pair, _)| pair.follower().0 == side) else {
                continue;
            };
            partition.write = None;
            let memory = book.get(&self.group, &partition.source);
            match outcome(partition.on(side)) {
                WriteOutcome::Written => {
                    book.set(&self.group, &partition.source, memory.written(now_ms));
                    partition.note_commit(side, pair);
                    committed += 1;
                }
                WriteOutcome::Refused { refusal, certain } => {
                    // One whose fate is not certain stays planned: the next reading finds out.
                    if certain {
                        book.set(&self.group, &partition.source, memory.refused());
                    }
                    partition.refused = Some(refusal);
                }
                WriteOutcome::Unanswered => {
                    partition.refused = Some(refusal::unanswered(partition.on(side)));
                }
            }
        }
        committed
    }
}

impl PartitionWork {
    /// Notes what is committed on a side by now.
    fn note_commit(&mut self, side: Side, pair: SyncPair) {
        let metadata = self.metadata(pair.owner).to_owned();
        let commit = Some(Committed { offset: pair.follower().1, leader_epoch: -1, metadata });
        match side {
            Side::Source => self.source_commit = commit,
            Side::Target => self.target_commit = commit,
        }
    }
}
