//! Committing translated offsets for a group without active members.

use std::collections::{HashMap, HashSet};

use super::document::Entry;
use crate::model::{Isolation, TopicPartition};
use crate::wire::{GroupCommit, GroupState, OffsetSpec, Wire};

/// Commits every entry's translated offset for `group`, kept within the log; what was moved is told on stderr and noted
/// in the entry.
///
/// # Errors
/// Nothing was committed: an entry has no translation or is there twice, the group is active, a log can't be asked. Or
/// the broker refused some, which the text names.
pub async fn commit(wire: &Wire, group: &str, entries: &mut [Entry]) -> Result<(), String> {
    let nothing = |why: String| format!("nothing was committed for group {group}: {why}");
    if entries.is_empty() {
        return Err(nothing("the document has no offsets of it".to_owned()));
    }
    let mut seen = HashSet::new();
    for entry in entries.iter() {
        let target = target(entry);
        if entry.answer.translated_offset.is_none() {
            let (topic, partition) = (&entry.answer.topic, entry.answer.partition);
            return Err(nothing(format!("offset {} of {topic}-{partition} is unknown", entry.answer.offset)));
        }
        if !seen.insert(target.clone()) {
            return Err(nothing(format!("the document gives {target} more than once")));
        }
    }
    let listing = wire.list_groups().await.map_err(|error| nothing(error.to_string()))?;
    let listed = listing.groups.into_iter().find(|listed| listed.group == group);
    if let Some(GroupState::Active(state)) = listed.map(|listed| listed.state) {
        let state = state.to_lowercase();
        return Err(nothing(format!("it has active members on {} ({state}); stop them first", wire.alias())));
    }
    keep_within_logs(wire, entries).await.map_err(nothing)?;
    let offsets = entries.iter().filter_map(|entry| {
        Some((target(entry), entry.answer.translated_offset?, entry.metadata.clone().unwrap_or_default()))
    });
    let commits = vec![GroupCommit { group: group.to_owned(), offsets: offsets.collect() }];
    let mut failed = Vec::new();
    for (_, outcome) in wire.commit_offsets(commits).await {
        match outcome {
            Ok(partitions) => {
                let refused = partitions.into_iter().filter_map(|(partition, answer)| {
                    answer.err().map(|error| format!("{partition}: {error}"))
                });
                failed.extend(refused);
            }
            Err(error) if error.is_unknown_member() => {
                return Err(nothing(format!("it became active on {} just now", wire.alias())));
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("not everything was committed for group {group}: {}", failed.join("; "))),
    }
}

fn target(entry: &Entry) -> TopicPartition {
    TopicPartition::new(entry.answer.translated_topic.clone(), entry.answer.partition)
}

/// A commit outside of the log would send the group to wherever `auto.offset.reset` says.
async fn keep_within_logs(wire: &Wire, entries: &mut [Entry]) -> Result<(), String> {
    let (starts, ends) = tokio::try_join!(
        bounds(wire, entries, OffsetSpec::Earliest),
        bounds(wire, entries, OffsetSpec::Latest)
    )?;
    for entry in entries {
        let target = target(entry);
        let (Some(start), Some(end), Some(offset)) =
            (starts.get(&target), ends.get(&target), entry.answer.translated_offset)
        else {
            return Err(format!("nobody tells where {target} starts and ends"));
        };
        let within = offset.clamp(*start, (*end).max(*start));
        if within != offset {
            eprintln!(
                "note: {target}: {offset} lies outside of the log ({start} to {end}); {within} is taken"
            );
            entry.answer.translated_offset = Some(within);
        }
    }
    Ok(())
}

async fn bounds(
    wire: &Wire,
    entries: &[Entry],
    spec: OffsetSpec,
) -> Result<HashMap<TopicPartition, i64>, String> {
    let queries: Vec<_> = entries.iter().map(|entry| (target(entry), spec)).collect();
    let answers = wire.list_offsets(&queries, Isolation::ReadUncommitted).await;
    let answers = answers.map_err(|error| error.to_string())?;
    let found = answers.into_iter().map(|(partition, answer)| Ok((partition, answer?.offset)));
    found.collect::<Result<_, _>>().map_err(|error: crate::wire::WireError| error.to_string())
}
