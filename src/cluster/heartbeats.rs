//! Reads the heartbeats on a cluster: who reaches it, which way, and how long ago.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::catalogue::Catalogue;
use super::handle::ClusterHandle;
use crate::formats::Heartbeat;
use crate::model::status::UpstreamStatus;
use crate::model::{Alias, TopicName, TopicPartition};
use crate::telemetry::clock;
use crate::topology::Isolation;
use crate::wire::{FetchRange, OffsetSpec, WireError};

/// How often the heartbeats are read: twice as often as they are written by default would show nothing newer.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes read of one topic at a time: hundreds of heartbeats.
const READ_BYTES: i32 = 64 * 1024;
/// MirrorMaker 2's name.
const HEARTBEATS: &str = "heartbeats";

/// Where one heartbeats topic has been read to, and its newest heartbeat.
#[derive(Clone, Copy, Debug, Default)]
struct TopicProgress {
    next: Option<i64>,
    newest_ms: Option<i64>,
}

/// Reads for ever; abort the task to end it. `separators` are those of the flows into the cluster, `memory` bounds the
/// age of what is shown.
pub async fn monitor(handle: ClusterHandle, separators: Vec<String>, memory: Duration) -> Infallible {
    let mut seen: HashMap<TopicName, TopicProgress> = HashMap::new();
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(catalogue) = handle.catalogue() else { continue };
        let topics = heartbeat_topics(&catalogue, &separators);
        seen.retain(|topic, _| topics.contains(topic));
        for topic in &topics {
            let entry = seen.entry(topic.clone()).or_default();
            if let Err(error) = read(&handle, topic, entry).await {
                debug!(target: crate::cluster::LOG, cluster = %handle.alias(), %topic, %error, "heartbeats not read");
            }
        }
        handle.set_upstreams(upstreams(handle.alias(), &separators, &seen, memory));
    }
}

/// Mirrored heartbeats topics: those with at least one alias before the name.
fn heartbeat_topics(catalogue: &Arc<Catalogue>, separators: &[String]) -> Vec<TopicName> {
    let suffixes: Vec<_> = separators.iter().map(|separator| format!("{separator}{HEARTBEATS}")).collect();
    let is_copy = |topic: &&TopicName| suffixes.iter().any(|suffix| topic.as_str().ends_with(suffix));
    catalogue.topics.keys().filter(is_copy).cloned().collect()
}

async fn read(handle: &ClusterHandle, topic: &TopicName, seen: &mut TopicProgress) -> Result<(), WireError> {
    let partition = TopicPartition::new(topic.clone(), 0);
    let offset = match seen.next {
        Some(next) => next,
        // Only the newest counts: start one record before the end.
        None => {
            let latest = handle.offset(&partition, OffsetSpec::Latest, Isolation::ReadUncommitted).await?;
            let earliest =
                handle.offset(&partition, OffsetSpec::Earliest, Isolation::ReadUncommitted).await?;
            (latest.offset - 1).max(earliest.offset)
        }
    };
    let range = FetchRange {
        partition,
        offset,
        max_bytes: READ_BYTES,
        isolation: Isolation::ReadUncommitted,
        max_wait: Duration::ZERO,
    };
    match handle.wire().fetch(&range).await {
        Ok(fetched) => {
            seen.next = Some(fetched.next_offset.max(offset));
            for record in &fetched.records {
                if let Ok(heartbeat) = Heartbeat::decode(record.key.as_deref(), record.value.as_deref()) {
                    seen.newest_ms = seen.newest_ms.max(Some(heartbeat.timestamp_ms));
                }
            }
            Ok(())
        }
        Err(error) => {
            // Compacted away or re-created: find the end again.
            seen.next = None;
            Err(error)
        }
    }
}

fn upstreams(
    local: &Alias,
    separators: &[String],
    seen: &HashMap<TopicName, TopicProgress>,
    memory: Duration,
) -> Vec<UpstreamStatus> {
    let now = clock::now_ms();
    let memory_ms = i64::try_from(memory.as_millis()).unwrap_or(i64::MAX);
    let mut found: Vec<_> = seen
        .iter()
        .filter_map(|(topic, seen)| {
            let age_ms = now - seen.newest_ms?;
            let path = separators.iter().find_map(|separator| path_of(topic, separator, local))?;
            let hops = u32::try_from(path.len() - 1).ok()?;
            (age_ms <= memory_ms).then(|| UpstreamStatus { alias: path[0].clone(), path, hops, age_ms })
        })
        .collect();
    found.sort_by(|a, b| (&a.alias, a.hops, &a.path).cmp(&(&b.alias, b.hops, &b.path)));
    found
}

/// `C.A.heartbeats` on B came from A over C: the path is A, C, B.
fn path_of(topic: &TopicName, separator: &str, local: &Alias) -> Option<Vec<Alias>> {
    let mut segments: Vec<&str> = topic.as_str().split(separator).collect();
    segments.pop().filter(|last| *last == HEARTBEATS)?;
    if segments.is_empty() || segments.iter().any(|segment| segment.is_empty()) {
        return None;
    }
    let mut path: Vec<Alias> = segments.into_iter().rev().map(Alias::from).collect();
    path.push(local.clone());
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_prefixes_backwards() {
        let path = path_of(&"c.a.heartbeats".into(), ".", &"b".into()).expect("a mirrored heartbeats topic");
        assert_eq!(path, ["a", "c", "b"].map(Alias::from));
        assert_eq!(path_of(&"heartbeats".into(), ".", &"b".into()), None);
        assert_eq!(path_of(&".heartbeats".into(), ".", &"b".into()), None);
        assert_eq!(path_of(&"a.orders".into(), ".", &"b".into()), None);
    }

    #[test]
    fn only_heartbeats_within_memory_are_shown() {
        let now = clock::now_ms();
        let seen = HashMap::from([
            ("a.heartbeats".into(), TopicProgress { next: None, newest_ms: Some(now - 2_000) }),
            ("x.heartbeats".into(), TopicProgress { next: None, newest_ms: Some(now - 20_000) }),
            ("y.heartbeats".into(), TopicProgress::default()),
        ]);
        let shown = upstreams(&"b".into(), &[".".to_owned()], &seen, Duration::from_secs(10));
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].alias.as_str(), shown[0].hops), ("a", 1));
    }
}
