//! One look at a flow's groups on both sides, without a mesh: what the board of a running mesh shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::lookup::{AsOf, FlowOffsets, LookupError};
use crate::model::TopicPartition;
use crate::model::groups::{GroupState, GroupStatus};
use crate::offsets::Translation;
use crate::offsets::groups::{GroupReading, OffsetReading, PartitionFacts, state_text};
use crate::wire::OffsetSpec;

/// A flow's groups at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Where the source's commits were read.
    pub as_of: AsOf,
    /// The groups, by name.
    pub groups: Vec<GroupStatus>,
    /// What is missing and why, for people.
    pub missing: Vec<String>,
}

/// What one group has on both sides, by source partition.
#[derive(Default)]
struct BothSides {
    source_state: Option<GroupState>,
    source: BTreeMap<TopicPartition, OffsetReading>,
    target: BTreeMap<TopicPartition, i64>,
}

/// What the target tells of its groups.
struct TargetGroups {
    states: HashMap<String, GroupState>,
    /// By group and source partition.
    offsets: HashMap<String, BTreeMap<TopicPartition, i64>>,
}

impl FlowOffsets {
    /// Looks at the groups that the flow follows, or at one, followed or not.
    ///
    /// # Errors
    /// The target does not answer, or the source refuses. A source that does not answer is no error: its last
    /// checkpoints are shown, and its lag is not known.
    pub async fn overview(&self, only: Option<&str>) -> Result<Overview, LookupError> {
        let read = self.committed(only).await?;
        let mut missing = read.missing;
        let target = self.target_groups(only, &read.readings, &mut missing).await?;
        let ends = match &read.as_of {
            AsOf::Source => self.source_ends(&read.readings, &mut missing).await?,
            AsOf::Checkpoints { .. } => HashMap::new(),
        };
        let mut groups: BTreeMap<String, BothSides> = BTreeMap::new();
        for reading in read.readings {
            let both = groups.entry(reading.group).or_default();
            both.source_state = Some(reading.state);
            both.source = reading.offsets.into_iter().map(|offset| (offset.source.clone(), offset)).collect();
        }
        for (group, offsets) in target.offsets {
            groups.entry(group).or_default().target = offsets;
        }
        let shown = groups.into_iter().filter(|(_, both)| !both.source.is_empty() || !both.target.is_empty());
        let groups = shown
            .map(|(group, both)| {
                let target_state = state_text(target.states.get(&group));
                self.status(group, both, target_state, &ends)
            })
            .collect();
        Ok(Overview { as_of: read.as_of, groups, missing })
    }

    async fn target_groups(
        &self,
        only: Option<&str>,
        readings: &[GroupReading],
        missing: &mut Vec<String>,
    ) -> Result<TargetGroups, LookupError> {
        let listing = self.target().list_groups().await?;
        let failed = listing.failed.iter();
        missing
            .extend(failed.map(|(broker, error)| format!("groups of broker {broker} are missing: {error}")));
        let mut names: BTreeSet<String> = readings.iter().map(|reading| reading.group.clone()).collect();
        names.extend(only.map(str::to_owned));
        let mut states = HashMap::new();
        for listed in listing.groups {
            // A group that works on the target only may have no commit on the source.
            if only.is_none() && listed.is_of_consumers() && self.follows(&listed.group)? {
                names.insert(listed.group.clone());
            }
            states.insert(listed.group, listed.state);
        }
        let names: Vec<String> = names.into_iter().collect();
        let mut offsets: HashMap<String, BTreeMap<TopicPartition, i64>> = HashMap::new();
        for (group, answer) in self.target().committed_offsets(&names, true).await {
            let commits = match answer {
                Ok(commits) => commits,
                Err(error) => {
                    missing.push(format!("group {group}: {error}"));
                    continue;
                }
            };
            for commit in commits {
                let Some(source) = self.source_of(&commit.partition) else { continue };
                match commit.committed {
                    Ok(committed) => {
                        let of_group = offsets.entry(group.clone()).or_default();
                        of_group.insert(source.clone(), committed.offset);
                    }
                    Err(error) => missing.push(format!("group {group}, {}: {error}", commit.partition)),
                }
            }
        }
        Ok(TargetGroups { states, offsets })
    }

    async fn source_ends(
        &self,
        readings: &[GroupReading],
        missing: &mut Vec<String>,
    ) -> Result<HashMap<TopicPartition, i64>, LookupError> {
        let partitions: BTreeSet<_> =
            readings.iter().flat_map(|reading| &reading.offsets).map(|offset| &offset.source).collect();
        let queries: Vec<_> =
            partitions.into_iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
        let mut ends = HashMap::with_capacity(queries.len());
        for (partition, answer) in self.source().list_offsets(&queries, self.flow().isolation).await? {
            match answer {
                Ok(listed) => drop(ends.insert(partition, listed.offset)),
                Err(error) => missing.push(format!("the end of {partition} is not known: {error}")),
            }
        }
        Ok(ends)
    }

    fn status(
        &self,
        group: String,
        both: BothSides,
        target_state: String,
        ends: &HashMap<TopicPartition, i64>,
    ) -> GroupStatus {
        let all: BTreeSet<_> = both.source.keys().chain(both.target.keys()).cloned().collect();
        let partition = |source: TopicPartition| {
            let read = both.source.get(&source);
            let map = self.map(&source);
            let target = read.map(|read| read.target.clone()).or_else(|| {
                let topic = map?.identity().remote_topic.clone();
                Some(TopicPartition::new(topic, source.partition))
            })?;
            let facts = PartitionFacts {
                target,
                source_offset: read.map(|read| read.committed.offset),
                translation: read.map_or(Translation::Unknown, |read| read.translation),
                target_offset: both.target.get(&source).copied(),
                source_end: ends.get(&source).copied(),
                mirrored: map.map(|map| (map.source_next(), map.target_next())),
                refused: None,
                source,
            };
            Some(facts.into_status())
        };
        let partitions = all.into_iter().filter_map(partition).collect();
        let synced = self.syncs().iter().filter(|(key, _)| key.group == group);
        let last_sync_ms =
            synced.flat_map(|(_, sync)| &sync.partitions).map(|synced| synced.written_ms).max();
        // A plan that no commit followed yet has no time.
        let last_sync_ms = last_sync_ms.filter(|at_ms| *at_ms > 0);
        let source_state = state_text(both.source_state.as_ref());
        GroupStatus { group, source_state, target_state, partitions, last_sync_ms, refused: None }
    }
}
