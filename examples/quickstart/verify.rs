//! Compares both sides, record by record.

use std::error::Error;

use krafka::consumer::ConsumerRecord;

use super::clusters::{ORDERS, PARTITIONS, SampleCluster, remote_topic};

/// Compares each cluster's orders with their copy on the other, and looks for topics that nobody asked for.
///
/// Returns how many orders were compared; the error names the first difference.
pub fn compare(east: &SampleCluster, west: &SampleCluster) -> Result<usize, Box<dyn Error>> {
    let mut compared = 0;
    for (source, target) in [(east, west), (west, east)] {
        let remote = remote_topic(source);
        let (from, to) = (source.records(ORDERS)?, target.records(&remote)?);
        for partition in 0..PARTITIONS {
            let side = |records: &'_ [ConsumerRecord]| -> Vec<ConsumerRecord> {
                records.iter().filter(|record| record.partition == partition).cloned().collect()
            };
            let place = format!("partition {partition} of {ORDERS} on {}", source.name());
            same(&side(&from), &side(&to)).map_err(|difference| format!("{place}: {difference}"))?;
        }
        compared += from.len();
        only_known_topics(target, source)?;
    }
    Ok(compared)
}

fn same(from: &[ConsumerRecord], to: &[ConsumerRecord]) -> Result<(), String> {
    for (source, copy) in from.iter().zip(to) {
        let equal = source.key == copy.key
            && source.value == copy.value
            && source.headers == copy.headers
            && source.timestamp == copy.timestamp;
        if !equal {
            return Err(format!("the record at offset {} is {source:?}, its copy {copy:?}", source.offset));
        }
    }
    match (from.len(), to.len()) {
        (there, here) if there > here => Err(format!("{} of {there} orders are missing", there - here)),
        (there, here) if there < here => Err(format!("{} orders too many", here - there)),
        _ => Ok(()),
    }
}

/// Records that come back to where they were written would show as topics with both prefixes.
fn only_known_topics(cluster: &SampleCluster, other: &SampleCluster) -> Result<(), String> {
    let remote = [remote_topic(other), format!("{}.heartbeats", other.name())];
    let known = |topic: &String| {
        [ORDERS, "heartbeats"].contains(&topic.as_str())
            || topic.starts_with("__mirrormesh-")
            || topic.starts_with("mm2-offset-syncs.")
            || topic.ends_with(".checkpoints.internal")
            || remote.contains(topic)
    };
    match cluster.topics().into_iter().find(|topic| !known(topic)) {
        Some(topic) => Err(format!("{} has a topic that nobody asked for: {topic}", cluster.name())),
        None => Ok(()),
    }
}
