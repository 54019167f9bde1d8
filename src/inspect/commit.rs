//! Committing translated offsets for a group without active members.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::model::groups::GroupState;
use crate::model::{Isolation, TopicPartition};
use crate::wire::{GroupCommit, OffsetSpec, Wire, WireError};

/// An offset to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCommit {
    /// The partition as it was asked about.
    pub asked: TopicPartition,
    /// The offset that was asked about.
    pub offset: i64,
    /// The partition that the commit is for.
    pub target: TopicPartition,
    /// The offset there; `None` if nobody knows it.
    pub translated: Option<i64>,
    /// Goes with the commit.
    pub metadata: String,
}

/// An offset outside of its log, and where it was moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The partition.
    pub target: TopicPartition,
    /// Where it was.
    pub offset: i64,
    /// Start and end of the log.
    pub log: (i64, i64),
    /// What is taken instead.
    pub within: i64,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, offset, log: (start, end), within } = self;
        write!(f, "{target}: {offset} lies outside of the log ({start} to {end}); {within} is taken")
    }
}

/// Commits every translated offset for `group`, kept within the log; `tell` hears of what was moved, which is also noted
/// in `wanted`.
///
/// # Errors
/// Nothing was committed: an offset has no translation or is there twice, the group is active, a log can't be asked. Or
/// the broker refused some, which the text names.
pub async fn commit(
    wire: &Wire,
    group: &str,
    wanted: &mut [WantedCommit],
    tell: impl FnMut(&Moved),
) -> Result<(), String> {
    let nothing = |why: String| format!("nothing was committed for group {group}: {why}");
    if wanted.is_empty() {
        return Err(nothing("the document has no offsets of it".to_owned()));
    }
    let mut seen = HashSet::new();
    for WantedCommit { asked, offset, target, translated, .. } in wanted.iter() {
        if translated.is_none() {
            return Err(nothing(format!("offset {offset} of {asked} is unknown")));
        }
        if !seen.insert(target) {
            return Err(nothing(format!("the document gives {target} more than once")));
        }
    }
    let listing = wire.list_groups().await.map_err(|error| nothing(error.to_string()))?;
    let listed = listing.groups.into_iter().find(|listed| listed.group == group);
    if let Some(GroupState::Active(state)) = listed.map(|listed| listed.state) {
        let state = state.to_lowercase();
        return Err(nothing(format!("it has active members on {} ({state}); stop them first", wire.alias())));
    }
    keep_within_logs(wire, wanted, tell).await.map_err(nothing)?;
    let offsets = wanted
        .iter()
        .filter_map(|wanted| Some((wanted.target.clone(), wanted.translated?, wanted.metadata.clone())));
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

/// A commit outside of the log would send the group to wherever `auto.offset.reset` says.
async fn keep_within_logs(
    wire: &Wire,
    wanted: &mut [WantedCommit],
    mut tell: impl FnMut(&Moved),
) -> Result<(), String> {
    let (starts, ends) = tokio::try_join!(
        bounds(wire, wanted, OffsetSpec::Earliest),
        bounds(wire, wanted, OffsetSpec::Latest)
    )?;
    for wanted in wanted {
        let (Some(start), Some(end), Some(offset)) =
            (starts.get(&wanted.target), ends.get(&wanted.target), wanted.translated)
        else {
            return Err(format!("nobody tells where {} starts and ends", wanted.target));
        };
        let within = offset.clamp(*start, (*end).max(*start));
        if within != offset {
            tell(&Moved { target: wanted.target.clone(), offset, log: (*start, *end), within });
            wanted.translated = Some(within);
        }
    }
    Ok(())
}

async fn bounds(
    wire: &Wire,
    wanted: &[WantedCommit],
    spec: OffsetSpec,
) -> Result<HashMap<TopicPartition, i64>, String> {
    let queries: Vec<_> = wanted.iter().map(|wanted| (wanted.target.clone(), spec)).collect();
    let answers = wire.list_offsets(&queries, Isolation::ReadUncommitted).await;
    let answers = answers.map_err(|error| error.to_string())?;
    let found = answers.into_iter().map(|(partition, answer)| Ok((partition, answer?.offset)));
    found.collect::<Result<_, _>>().map_err(|error: WireError| error.to_string())
}
