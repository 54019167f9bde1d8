//! MirrorMaker 2's checkpoints: each group's translated offsets, for its Java clients (`RemoteClusterUtils`).

use std::collections::HashMap;

use tracing::{info, warn};

use super::{GroupReading, OffsetReading};
use crate::batch::Codec;
use crate::formats::{Checkpoint, FormatError};
use crate::mesh::internal_topics;
use crate::model::{Isolation, TopicName, TopicPartition};
use crate::offsets::{Emitted, due};
use crate::wire::{NewRecord, NewTopic, OffsetSpec, Wire, WireError};

/// Keys and values of one produce request, before compression: half of what a broker's default takes.
const WRITE_BYTES: usize = 512 * 1024;
/// Small segments, so that compaction keeps the topic short: every translation of a Java client reads all of it.
const SEGMENT_BYTES: &str = "16777216";

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
        let mut checkpoints = Self { wire: wire.clone(), topic, written: HashMap::new(), unsure: true };
        checkpoints.reload().await?;
        Ok(checkpoints)
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
        let mut part = Part::default();
        for reading in readings {
            for offset in &reading.offsets {
                let Some(now) = self.due(&reading.group, offset) else { continue };
                match part.push(&reading.group, offset, now) {
                    Ok(()) => {}
                    Err(error) => {
                        warn!(group = reading.group, partition = %offset.target, %error, "no checkpoint is possible");
                        // Said once per change, not once per interval.
                        self.note(&reading.group, &offset.target, now);
                    }
                }
                if part.bytes >= WRITE_BYTES {
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

    async fn write(&mut self, part: Part) -> Result<usize, WireError> {
        if part.records.is_empty() {
            return Ok(0);
        }
        // Until the answer is here it may have been written or not, also if this future is dropped.
        self.unsure = true;
        let place = TopicPartition::new(self.topic.clone(), 0);
        if let Err(error) = self.wire.produce(&place, &part.records, Codec::Lz4).await {
            // A topic that somebody deleted is made again, and everything written once more.
            self.unsure = error.is_outcome_unknown() || error.is_unknown_topic();
            return Err(error);
        }
        self.unsure = false;
        let count = part.records.len();
        for (group, target, emitted) in part.emitted {
            self.note(&group, &target, emitted);
        }
        Ok(count)
    }

    async fn reload(&mut self) -> Result<(), WireError> {
        self.create().await?;
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
        self.unsure = false;
        info!(
            cluster = %self.wire.alias(), topic = %self.topic, groups = self.written.len(),
            unreadable = stored.unreadable, "checkpoints read"
        );
        Ok(())
    }

    async fn create(&self) -> Result<(), WireError> {
        let place = TopicPartition::new(self.topic.clone(), 0);
        match first_offset(&self.wire, &place).await {
            Err(error) if error.is_unknown_topic() => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        let configs = [("cleanup.policy", "compact"), ("segment.bytes", SEGMENT_BYTES)];
        let new = NewTopic {
            name: self.topic.clone(),
            partitions: 1,
            replication_factor: -1,
            configs: configs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        };
        match self.wire.create_topic(&new, false).await {
            Err(error) if !error.is_already_there() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Records for one request, with what they say.
#[derive(Default)]
struct Part {
    records: Vec<NewRecord>,
    emitted: Vec<(String, TopicPartition, Emitted)>,
    bytes: usize,
}

impl Part {
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
        self.bytes += key.len() + value.len();
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

async fn first_offset(wire: &Wire, place: &TopicPartition) -> Result<i64, WireError> {
    let queries = [(place.clone(), OffsetSpec::Earliest)];
    let answers = wire.list_offsets(&queries, Isolation::ReadUncommitted).await?;
    let mut offsets = answers.into_iter().map(|(_, answer)| answer.map(|listed| listed.offset));
    offsets.next().expect("as many answers as queries")
}
