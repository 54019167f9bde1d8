//! MirrorMaker 2's checkpoints: each group's translated offsets, for its Java clients (`RemoteClusterUtils`).

use std::collections::HashMap;

use tracing::{info, warn};

use super::internal_topics;
use crate::formats::{Checkpoint, FormatError};
use crate::model::{TopicName, TopicPartition};
use crate::offsets::groups::{GroupReading, OffsetReading};
use crate::offsets::{Emitted, due};
use crate::wire::{NewRecord, Wire, WireError};

/// Checkpoints that are made and written at a time: about half a MiB, one request.
const CHECKPOINTS_AT_ONCE: usize = 5_000;

/// What the checkpoints topic holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCheckpoints {
    /// The last checkpoint of each group and target partition.
    pub checkpoints: HashMap<String, HashMap<TopicPartition, Checkpoint>>,
    /// Records that are no checkpoints, or damaged ones; each was logged.
    pub unreadable: usize,
}

/// The checkpoints of one flow: what was written last, and what is written next.
///
/// It remembers a few dozen bytes per group and partition that the topic holds; MirrorMaker 2's topics are never
/// cleaned of groups that are gone, and neither is this.
pub struct Checkpoints {
    wire: Wire,
    topic: TopicName,
    written: HashMap<String, HashMap<TopicPartition, Emitted>>,
    /// Records that can't be read, when the topic was last read.
    unreadable: usize,
    /// Whether a write may have happened that `written` doesn't know: the topic is then read again first.
    unsure: bool,
}

impl Checkpoints {
    /// Creates the topic where it is missing, and reads what it holds, so that what is written goes on from there.
    ///
    /// `topic` is [`Naming::checkpoints_topic`](crate::topology::Naming::checkpoints_topic), `wire` the target's.
    ///
    /// # Errors
    /// The cluster's; the topic needs READ, WRITE and, unless it is there, CREATE. A record that can't be read is
    /// logged and passed over, as MirrorMaker 2 does.
    pub async fn load(wire: &Wire, topic: TopicName) -> Result<Self, WireError> {
        let written = HashMap::new();
        let mut checkpoints = Self { wire: wire.clone(), topic, written, unreadable: 0, unsure: true };
        checkpoints.reload().await?;
        Ok(checkpoints)
    }

    /// The topic's name.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// How many of the topic's records were no checkpoints, or damaged ones, when it was last read; each was logged.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Writes the checkpoints that are due; returns how many. Cancel safe.
    ///
    /// A translation that nobody knows gives no checkpoint, and a group that is gone keeps its last one: readers
    /// take a tombstone for a broken record.
    ///
    /// # Errors
    /// The cluster's. What was not acknowledged stays due.
    pub async fn emit(&mut self, readings: &[GroupReading]) -> Result<usize, WireError> {
        if self.unsure {
            self.reload().await?;
        }
        let mut written = 0;
        let mut part = CheckpointsPart::default();
        for reading in readings {
            for offset in &reading.offsets {
                let Some(now) = self.due(&reading.group, offset) else { continue };
                match part.push(&reading.group, offset, now) {
                    Ok(()) => {}
                    Err(error) => {
                        warn!(target: crate::store::LOG, group = reading.group, partition = %offset.target, %error, "no checkpoint is possible");
                        // Said once per change, not once per interval.
                        self.note(&reading.group, &offset.target, now);
                    }
                }
                if part.records.len() >= CHECKPOINTS_AT_ONCE {
                    written += self.write(std::mem::take(&mut part)).await?;
                }
            }
        }
        written += self.write(part).await?;
        Ok(written)
    }

    fn due(&self, group: &str, reading: &OffsetReading) -> Option<Emitted> {
        let last = self.written.get(group).and_then(|partitions| partitions.get(&reading.target)).copied();
        due(last, reading.committed.offset, reading.translation)
    }

    fn note(&mut self, group: &str, target: &TopicPartition, emitted: Emitted) {
        if !self.written.contains_key(group) {
            self.written.insert(group.to_owned(), HashMap::new());
        }
        if let Some(partitions) = self.written.get_mut(group) {
            partitions.insert(target.clone(), emitted);
        }
    }

    async fn write(&mut self, part: CheckpointsPart) -> Result<usize, WireError> {
        if part.records.is_empty() {
            return Ok(0);
        }
        // Until the answer is here it may have been written or not, also if this future is dropped.
        self.unsure = true;
        let place = TopicPartition::new(self.topic.clone(), 0);
        let (written, outcome) = internal_topics::append_counted(&self.wire, &place, &part.records).await;
        for (group, target, emitted) in part.emitted.into_iter().take(written) {
            self.note(&group, &target, emitted);
        }
        // A topic that somebody deleted is made again, and everything written once more.
        self.unsure =
            outcome.as_ref().is_err_and(|error| error.is_outcome_unknown() || error.is_unknown_topic());
        outcome.map(|()| written)
    }

    async fn reload(&mut self) -> Result<(), WireError> {
        internal_topics::create(&self.wire, &self.topic).await?;
        let stored = stored_checkpoints(&self.wire, &self.topic).await?;
        let emitted = |checkpoint: Checkpoint| Emitted {
            upstream: checkpoint.upstream_offset,
            downstream: checkpoint.downstream_offset,
        };
        let groups = stored.checkpoints.into_iter();
        self.written = groups
            .map(|(group, partitions)| {
                let last = partitions.into_iter().map(|(target, checkpoint)| (target, emitted(checkpoint)));
                (group, last.collect())
            })
            .collect();
        self.unreadable = stored.unreadable;
        self.unsure = false;
        info!(
            target: crate::store::LOG,
            cluster = %self.wire.alias(), topic = %self.topic, groups = self.written.len(),
            unreadable = stored.unreadable, "checkpoints read"
        );
        Ok(())
    }
}

/// Records to be written, with what they say.
#[derive(Default)]
struct CheckpointsPart {
    records: Vec<NewRecord>,
    emitted: Vec<(String, TopicPartition, Emitted)>,
}

impl CheckpointsPart {
    fn push(&mut self, group: &str, reading: &OffsetReading, now: Emitted) -> Result<(), FormatError> {
        let checkpoint = Checkpoint {
            group: group.to_owned(),
            topic: reading.target.topic.as_str().to_owned(),
            partition: reading.target.partition,
            upstream_offset: now.upstream,
            downstream_offset: now.downstream,
            metadata: reading.committed.metadata.clone(),
        };
        let (key, value) = (checkpoint.key()?, checkpoint.value()?);
        self.records.push(internal_topics::record(key, Some(value)));
        self.emitted.push((checkpoint.group, reading.target.clone(), now));
        Ok(())
    }
}

/// Reads the last checkpoint of every group; a topic that is not there holds none.
///
/// # Errors
/// The cluster's. Records that can't be read are logged, counted and passed over.
pub async fn stored_checkpoints(wire: &Wire, topic: &TopicName) -> Result<StoredCheckpoints, WireError> {
    let place = TopicPartition::new(topic.clone(), 0);
    let mut stored = StoredCheckpoints::default();
    internal_topics::read_all::<WireError>(wire, &place, |record| {
        match Checkpoint::decode(record.key.as_deref(), record.value.as_deref()) {
            Ok(checkpoint) => {
                let target = TopicPartition::new(checkpoint.topic.as_str(), checkpoint.partition);
                let of_group = stored.checkpoints.entry(checkpoint.group.clone()).or_default();
                of_group.insert(target, checkpoint);
            }
            Err(error) => {
                stored.unreadable += 1;
                warn!(
                    target: crate::store::LOG,
                    cluster = %wire.alias(), %topic, offset = record.offset, %error,
                    "a checkpoint can't be read and is passed over"
                );
            }
        }
        Ok(())
    })
    .await?;
    Ok(stored)
}
