//! A flow's offsets as its clusters tell them, without a mesh: what `mirrormesh offsets` shows.
//!
//! The maps come from the target alone. What groups have committed on the source is asked there; when it does not
//! answer, the checkpoints on the target say what it was.

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use crate::config::{Loaded, did_you_mean};
use crate::formats::{GroupSync, GroupSyncKey, offsets_topic};
use crate::model::groups::{Committed, GroupState};
use crate::model::{Alias, FlowName, TopicName, TopicPartition};
use crate::offsets::groups::{GroupReading, OffsetReading};
use crate::offsets::{Direction, OffsetMap, TranslatedOffset, Translation};
use crate::store::{LoadedOffsets, OffsetsError, OffsetsTopic, stored_checkpoints};
use crate::topology::java_regex::PatternError;
use crate::topology::{FlowSpec, GroupSelector, Selector};
use crate::wire::{Wire, WireError};

/// Topics that an error names at most.
const NAMED: usize = 10;

/// Why an offset can't be looked up.
#[derive(Debug, Error)]
pub enum LookupError {
    /// A cluster did not answer, or refused.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The maps can't be read.
    #[error(transparent)]
    Offsets(#[from] OffsetsError),
    /// A pattern of the flow can't be used.
    #[error("flow {flow}: {error}")]
    Pattern {
        /// The flow.
        flow: FlowName,
        /// What is wrong with it.
        error: PatternError,
    },
    /// There is no map for the partition.
    #[error("flow {flow} has no offset map for {partition}: {why}")]
    NoMap {
        /// The flow.
        flow: FlowName,
        /// The partition that was asked about.
        partition: TopicPartition,
        /// What there is instead, for people.
        why: String,
    },
}

/// Where committed offsets were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// From the source, now.
    Source,
    /// From the last checkpoints on the target, because the source does not answer.
    Checkpoints {
        /// What the source did instead.
        reason: String,
    },
}

impl AsOf {
    /// The word in tables and JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Checkpoints { .. } => "checkpoints",
        }
    }
}

/// What groups have committed on the source.
#[derive(Clone, Debug)]
pub struct SourceOffsets {
    /// Where it was read.
    pub as_of: AsOf,
    /// The groups by name, with their offsets on mirrored topics.
    pub readings: Vec<GroupReading>,
    /// What is missing and why, for people.
    pub missing: Vec<String>,
}

/// The maps of one flow, and the connections to both its clusters.
pub struct FlowOffsets {
    flow: FlowSpec,
    selector: Selector,
    followed: GroupSelector,
    source: Wire,
    target: Wire,
    stored: LoadedOffsets,
    by_remote: HashMap<TopicPartition, TopicPartition>,
}

impl FlowOffsets {
    /// Reads the flow's maps from its target; the source is not asked.
    ///
    /// # Errors
    /// The target does not answer or refuses, or a newer program wrote the maps.
    pub async fn open(loaded: &Loaded, flow: &FlowSpec) -> Result<Self, LookupError> {
        let pattern = |error| LookupError::Pattern { flow: flow.name.clone(), error };
        let wire = |alias: &Alias| {
            let settings = loaded.clients.get(alias).expect("every cluster of a sound topology has settings");
            Wire::new(alias.clone(), settings)
        };
        let (source, target) = (wire(&flow.from)?, wire(&flow.to)?);
        let stored = OffsetsTopic::load(&target, &flow.from, &flow.name).await?;
        let by_remote = stored.maps.iter().map(|(source, map)| {
            let remote = map.identity().remote_topic.clone();
            (TopicPartition::new(remote, source.partition), source.clone())
        });
        Ok(Self {
            selector: Selector::new(flow, &loaded.topology).map_err(pattern)?,
            followed: GroupSelector::new(&flow.groups).map_err(pattern)?,
            by_remote: by_remote.collect(),
            flow: flow.clone(),
            source,
            target,
            stored,
        })
    }

    /// The flow.
    pub fn flow(&self) -> &FlowSpec {
        &self.flow
    }

    /// The target's connection.
    pub fn target(&self) -> &Wire {
        &self.target
    }

    /// The source's connection.
    pub fn source(&self) -> &Wire {
        &self.source
    }

    /// What group sync last wrote.
    pub fn syncs(&self) -> &HashMap<GroupSyncKey, GroupSync> {
        &self.stored.groups
    }

    /// The map of a source partition.
    pub fn map(&self, source: &TopicPartition) -> Option<&OffsetMap> {
        self.stored.maps.get(source)
    }

    /// The source partition that is mirrored to a partition of the target.
    pub fn source_of(&self, target: &TopicPartition) -> Option<&TopicPartition> {
        self.by_remote.get(target)
    }

    /// Translates one offset; the partition is named as on the side that the offset is of.
    ///
    /// # Errors
    /// There is no map for it.
    pub fn translate(
        &self,
        partition: &TopicPartition,
        offset: i64,
        direction: Direction,
    ) -> Result<TranslatedOffset, LookupError> {
        let source = match direction {
            Direction::Forward => Some(partition),
            Direction::Reverse => self.by_remote.get(partition),
        };
        let found = source.and_then(|source| Some((source, self.map(source)?)));
        let (source, map) = found.ok_or_else(|| LookupError::NoMap {
            flow: self.flow.name.clone(),
            partition: partition.clone(),
            why: self.what_there_is(partition, direction),
        })?;
        Ok(TranslatedOffset::by_map(source, map, offset, direction))
    }

    /// What a topic is called on the other side, as far as its name tells.
    pub fn other_name(&self, topic: &TopicName, direction: Direction) -> TopicName {
        let naming = self.selector.naming();
        match direction {
            Direction::Forward => naming.remote_name(topic),
            Direction::Reverse => naming.upstream_of(topic.as_str()).unwrap_or_else(|| topic.clone()),
        }
    }

    /// What groups have committed on the source: those that the flow follows, or only one, followed or not.
    ///
    /// # Errors
    /// The source refuses, or neither it nor the target tells.
    pub async fn committed(&self, only: Option<&str>) -> Result<SourceOffsets, LookupError> {
        match self.committed_on_source(only).await {
            Err(LookupError::Wire(error)) if error.is_unreachable() => {
                let mut readings = self.committed_by_checkpoints(only).await?;
                readings.sort_by(|a, b| a.group.cmp(&b.group));
                let as_of = AsOf::Checkpoints { reason: error.to_string() };
                Ok(SourceOffsets { as_of, readings, missing: Vec::new() })
            }
            outcome => outcome,
        }
    }

    async fn committed_on_source(&self, only: Option<&str>) -> Result<SourceOffsets, LookupError> {
        let listing = self.source.list_groups().await?;
        let failed = listing.failed.iter();
        let mut missing: Vec<String> =
            failed.map(|(broker, error)| format!("groups of broker {broker} are missing: {error}")).collect();
        let mut states: BTreeMap<String, GroupState> = BTreeMap::new();
        for listed in listing.groups {
            let wanted = match only {
                Some(only) => listed.group == only,
                None => listed.is_of_consumers() && self.follows(&listed.group)?,
            };
            if wanted {
                states.insert(listed.group, listed.state);
            }
        }
        if let Some(only) = only {
            states.entry(only.to_owned()).or_insert(GroupState::Unknown);
        }
        let names: Vec<String> = states.keys().cloned().collect();
        let mut committed = self.source.committed_offsets(&names, true).await;
        let mut readings = Vec::with_capacity(states.len());
        for (group, state) in states {
            let offsets = match committed.remove(&group) {
                Some(Ok(offsets)) => offsets,
                Some(Err(error)) => {
                    missing.push(format!("group {group}: {error}"));
                    continue;
                }
                None => continue,
            };
            let mut reading = GroupReading { group, state, offsets: Vec::new(), failed: None };
            for offset in offsets {
                match offset.committed {
                    Ok(committed) => reading.offsets.extend(self.reading(offset.partition, committed)),
                    Err(error) => {
                        missing.push(format!("group {}, {}: {error}", reading.group, offset.partition))
                    }
                }
            }
            readings.push(reading);
        }
        Ok(SourceOffsets { as_of: AsOf::Source, readings, missing })
    }

    async fn committed_by_checkpoints(&self, only: Option<&str>) -> Result<Vec<GroupReading>, LookupError> {
        let topic = self.selector.naming().checkpoints_topic();
        let stored = stored_checkpoints(&self.target, &topic).await?;
        let mut readings = Vec::new();
        for (group, partitions) in stored.checkpoints {
            let wanted = match only {
                Some(only) => group == only,
                None => self.follows(&group)?,
            };
            if !wanted {
                continue;
            }
            let offsets = partitions.into_iter().filter_map(|(target, checkpoint)| {
                let source = self.by_remote.get(&target)?.clone();
                let committed = Committed {
                    offset: checkpoint.upstream_offset,
                    leader_epoch: -1,
                    metadata: checkpoint.metadata,
                };
                self.reading(source, committed)
            });
            let offsets = offsets.collect();
            readings.push(GroupReading { group, state: GroupState::Unknown, offsets, failed: None });
        }
        Ok(readings)
    }

    /// A committed offset, translated; `None` if the flow does not mirror the topic.
    fn reading(&self, source: TopicPartition, committed: Committed) -> Option<OffsetReading> {
        let (topic, translation) = match self.map(&source) {
            Some(map) => (map.identity().remote_topic.clone(), map.forward(committed.offset)),
            None => {
                let remote = self.selector.select(&source.topic, false).remote()?.clone();
                (remote, Translation::Unknown)
            }
        };
        let target = TopicPartition::new(topic, source.partition);
        Some(OffsetReading { source, target, committed, translation })
    }

    pub(super) fn follows(&self, group: &str) -> Result<bool, LookupError> {
        self.followed
            .takes(group)
            .map_err(|error| LookupError::Pattern { flow: self.flow.name.clone(), error })
    }

    /// Why there is no map, as far as can be told.
    fn what_there_is(&self, asked: &TopicPartition, direction: Direction) -> String {
        let FlowSpec { from, to, .. } = &self.flow;
        if let Some(damaged) = self.stored.damaged.get(asked) {
            return format!("the one on {to} is damaged ({})", damaged.error);
        }
        let partitions: Vec<&TopicPartition> = match direction {
            Direction::Forward => self.stored.maps.keys().collect(),
            Direction::Reverse => self.by_remote.keys().collect(),
        };
        if partitions.is_empty() {
            let topic = offsets_topic(from);
            return format!("{topic} on {to} has none of this flow; it is written while the flow runs");
        }
        let known: Vec<i32> = partitions
            .iter()
            .filter(|known| known.topic == asked.topic)
            .map(|known| known.partition)
            .collect();
        if let Some(last) = known.iter().max() {
            return format!("it has maps for {} of its partitions, up to {last}", known.len());
        }
        let other_side = match direction {
            Direction::Forward => self.by_remote.get(asked),
            Direction::Reverse => Some(asked).filter(|asked| self.stored.maps.contains_key(*asked)),
        };
        if other_side.is_some() {
            let (here, there) = match direction {
                Direction::Forward => (from, "to name it as on the target, add --reverse"),
                Direction::Reverse => (to, "to name it as on the source, leave --reverse out"),
            };
            return format!("the topic is to be named as on {here}; {there}");
        }
        let mut topics: Vec<&TopicName> = partitions.iter().map(|partition| &partition.topic).collect();
        topics.sort();
        topics.dedup();
        let names: Vec<&str> = topics.iter().take(NAMED).map(|topic| topic.as_str()).collect();
        let more = if topics.len() > NAMED { ", …" } else { "" };
        let hint = did_you_mean(asked.topic.as_str(), topics.iter().map(|topic| topic.as_str()));
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("it has maps for {}{more}{hint}", names.join(", "))
    }
}
