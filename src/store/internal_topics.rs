//! Topics that the mesh itself keeps on a cluster: one partition, compacted.

use std::time::Duration;

use bytes::Bytes;

use crate::batch::Record;
use crate::model::{Codec, Isolation, TopicName, TopicPartition};
use crate::telemetry::clock;
use crate::wire::{FetchRange, NewRecord, NewTopic, OffsetSpec, Wire, WireError};

/// Small segments, so that compaction keeps the topic short: every start reads all of it, and every translation of a
/// Java client all checkpoints.
const SEGMENT_BYTES: &str = "16777216";

/// Read at a time.
const READ_BYTES: i32 = 4 * 1024 * 1024;
/// Between two reads of a leader that does not know yet how much of its log is replicated.
const AGAIN: Duration = Duration::from_millis(20);

/// Keys and values in one request: half of a broker's default limit, since they may not compress.
const REQUEST_BYTES: usize = 512 * 1024;
/// Lengths, deltas and attributes of a record, at most.
const RECORD_OVERHEAD: usize = 21;

/// Creates a topic of ours, of small segments, where it is missing.
pub async fn create(wire: &Wire, topic: &TopicName) -> Result<(), WireError> {
    create_with(wire, topic, &[("segment.bytes", SEGMENT_BYTES)]).await
}

/// Creates a compacted topic with one partition where it is missing.
pub async fn create_with(wire: &Wire, topic: &TopicName, configs: &[(&str, &str)]) -> Result<(), WireError> {
    let known = wire.metadata(Some(std::slice::from_ref(topic))).await?;
    match known.topics.into_iter().find(|known| known.name == *topic).map(|known| known.error) {
        Some(None) => return Ok(()),
        Some(Some(error)) if !error.is_unknown_topic() => return Err(error),
        _ => {}
    }
    let configs = [&[("cleanup.policy", "compact")], configs].concat();
    let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let new =
        NewTopic { name: topic.clone(), partitions: 1, replication_factor: -1, configs: configs.collect() };
    match wire.create_topic(&new, false).await {
        Err(error) if !error.is_already_there() => Err(error),
        _ => Ok(()),
    }
}

/// A record stamped now; without a value it is a tombstone.
pub fn record(key: Vec<u8>, value: Option<Vec<u8>>) -> NewRecord {
    NewRecord {
        timestamp_ms: clock::now_ms(),
        key: Some(Bytes::from(key)),
        value: value.map(Bytes::from),
        headers: Vec::new(),
    }
}

/// Appends records, in as few requests as a broker's usual limit allows; stops at the first that fails.
pub async fn append(wire: &Wire, partition: &TopicPartition, records: &[NewRecord]) -> Result<(), WireError> {
    append_counted(wire, partition, records).await.1
}

/// [`append`], which says also how many of the records, from the first on, were acknowledged.
pub async fn append_counted(
    wire: &Wire,
    partition: &TopicPartition,
    records: &[NewRecord],
) -> (usize, Result<(), WireError>) {
    let mut acknowledged = 0;
    for part in parts(records, REQUEST_BYTES) {
        if let Err(error) = wire.produce(partition, part, Codec::Lz4).await {
            return (acknowledged, Err(error));
        }
        acknowledged += part.len();
    }
    (acknowledged, Ok(()))
}

/// Gives `take` every record from the partition's start to where it ends now; a topic that is missing has none. Cancel
/// safe.
pub async fn read_all<E: From<WireError>>(
    wire: &Wire,
    partition: &TopicPartition,
    mut take: impl FnMut(&Record) -> Result<(), E>,
) -> Result<(), E> {
    let bounds = [OffsetSpec::Earliest, OffsetSpec::Latest].map(|spec| (partition.clone(), spec));
    let mut bounds = wire.list_offsets(&bounds, Isolation::ReadUncommitted).await?.into_iter();
    let mut bound = || match bounds.next() {
        Some((_, Err(error))) if !error.is_unknown_topic() => Err(error),
        Some((_, Ok(listed))) => Ok(listed.offset),
        _ => Ok(0),
    };
    let (mut next, end) = (bound()?, bound()?);
    while next < end {
        let range = FetchRange {
            partition: partition.clone(),
            offset: next,
            max_bytes: READ_BYTES,
            isolation: Isolation::ReadUncommitted,
            max_wait: Duration::ZERO,
        };
        let fetched = wire.fetch(&range).await?;
        fetched.records.iter().try_for_each(&mut take)?;
        if fetched.next_offset <= next {
            // Compaction may have removed what was last; else a new leader catches up.
            if fetched.high_watermark >= end {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        next = fetched.next_offset.max(next);
    }
    Ok(())
}

/// Runs of records of at most `most_bytes`; one that is larger goes alone.
fn parts(records: &[NewRecord], most_bytes: usize) -> Vec<&[NewRecord]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (index, record) in records.iter().enumerate() {
        let size = record.key.as_ref().map_or(0, |key| key.len())
            + record.value.as_ref().map_or(0, |value| value.len())
            + RECORD_OVERHEAD;
        if index > from && bytes + size > most_bytes {
            parts.push(&records[from..index]);
            (from, bytes) = (index, 0);
        }
        bytes += size;
    }
    if from < records.len() {
        parts.push(&records[from..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_to_the_limit_and_leave_nothing_out() {
        let split = |sizes: &[usize]| -> Vec<usize> {
            let records: Vec<_> =
                sizes.iter().map(|size| record(Vec::new(), Some(vec![0; size - RECORD_OVERHEAD]))).collect();
            let lengths: Vec<_> = parts(&records, 100).iter().map(|part| part.len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), records.len());
            lengths
        };
        assert!(split(&[]).is_empty());
        assert_eq!(split(&[50, 50]), [2]);
        assert_eq!(split(&[50, 51]), [1, 1]);
        assert_eq!(split(&[300]), [1]);
        assert_eq!(split(&[40, 300, 40, 40, 40]), [1, 1, 2, 1]);
    }
}
