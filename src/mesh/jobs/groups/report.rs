//! Tells what came of a round: the board, events once per change, counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tracing::warn;

use super::work::{GroupWork, PartitionWork};
use crate::mesh::shared::FlowContext;
use crate::model::Event;
use crate::model::groups::{GroupPartitionStatus, GroupRefusal, GroupStatus, RefusalReason};
use crate::store::{GroupReading, state_word};
use crate::telemetry::clock;
use crate::topology::GroupSelector;

/// Events about groups in one round. A coordinator that is away concerns thousands of groups; the board has them all.
const MOST_EVENTS: usize = 100;

/// What is told of a flow's groups.
pub(super) struct Report {
    flow: Arc<FlowContext>,
    /// The round's groups so far.
    groups: Vec<GroupStatus>,
    /// What was told last of groups that are not kept in step.
    told: HashMap<String, RefusalReason>,
    /// When groups that were there in the last round were last in step.
    last_sync_ms: HashMap<String, i64>,
    /// Groups whose name no pattern could be applied to, told once.
    unmatched: BTreeSet<String>,
}

impl Report {
    pub fn new(flow: Arc<FlowContext>) -> Self {
        Self {
            flow,
            groups: Vec::new(),
            told: HashMap::new(),
            last_sync_ms: HashMap::new(),
            unmatched: BTreeSet::new(),
        }
    }

    /// Whether the flow follows a group; a name that a pattern gives up on is told once, and left.
    pub fn taken(&mut self, group: &str, groups: &GroupSelector) -> bool {
        groups.takes(group).unwrap_or_else(|error| {
            if self.unmatched.insert(group.to_owned()) {
                warn!(flow = %self.flow.spec.name, group, %error, "group left out: nobody knows whether it matches");
            }
            false
        })
    }

    /// Takes groups that were only read.
    pub fn read(&mut self, readings: Vec<GroupReading>) {
        for reading in readings {
            let refused =
                reading.failed.map(|detail| GroupRefusal { reason: RefusalReason::Unavailable, detail });
            let partitions = reading.offsets.iter().map(|offset| {
                let translated = offset.translation.offset();
                GroupPartitionStatus {
                    source: offset.source.clone(),
                    target: offset.target.clone(),
                    source_offset: Some(offset.committed.offset),
                    source_lag: self.source_lag(&offset.source, offset.committed.offset),
                    translated,
                    worth: Some(offset.translation.worth()),
                    target_offset: None,
                    target_lag: None,
                    redelivery: None,
                    refused: None,
                }
            });
            let status = GroupStatus {
                source_state: state_word(Some(&reading.state)),
                target_state: "unknown".to_owned(),
                partitions: partitions.collect(),
                last_sync_ms: None,
                refused,
                group: reading.group,
            };
            self.groups.push(status);
        }
    }

    /// Takes groups that were judged, their writes carried out.
    pub fn judged(&mut self, works: Vec<GroupWork>) {
        for work in works {
            let partitions: Vec<_> =
                work.partitions.iter().map(|partition| self.partition(partition)).collect();
            let refused =
                work.refused.or_else(|| partitions.iter().find_map(|partition| partition.refused.clone()));
            if partitions.is_empty() && refused.is_none() {
                continue;
            }
            let before = self.last_sync_ms.get(&work.group).copied();
            self.groups.push(GroupStatus {
                source_state: state_word(work.source_state.as_ref()),
                target_state: state_word(work.target_state.as_ref()),
                partitions,
                last_sync_ms: if refused.is_none() { Some(clock::now_ms()) } else { before },
                refused,
                group: work.group,
            });
        }
    }

    /// Shows the round, and tells what changed.
    pub fn finish(&mut self) {
        let groups = std::mem::take(&mut self.groups);
        let synced = groups.iter().filter_map(|status| Some((status.group.clone(), status.last_sync_ms?)));
        self.last_sync_ms = synced.collect();
        let mut told = HashMap::new();
        let mut events = Vec::new();
        for status in &groups {
            let before = self.told.remove(&status.group);
            let group = status.group.clone();
            match &status.refused {
                // It passes by itself, at every start.
                Some(GroupRefusal { reason: RefusalReason::Pending, .. }) => {
                    told.extend(before.map(|before| (group, before)));
                }
                Some(GroupRefusal { reason, detail }) => {
                    told.insert(group.clone(), *reason);
                    if before == Some(*reason) {
                        continue;
                    }
                    self.flow.metrics.group_refused(*reason);
                    let detail = detail.clone();
                    events.push(match reason {
                        RefusalReason::Conflict => Event::GroupConflict { group, reason: detail },
                        reason => Event::GroupRefused { group, class: reason.as_str(), reason: detail },
                    });
                }
                None if before.is_some() => events.push(Event::GroupRecovered { group }),
                None => {}
            }
        }
        self.told = told;
        for event in events.iter().take(MOST_EVENTS) {
            self.flow.report(event);
        }
        if events.len() > MOST_EVENTS {
            let more = events.len() - MOST_EVENTS;
            warn!(flow = %self.flow.spec.name, groups = more, "more groups changed; `/offsets` shows them all");
        }
        self.flow.groups.replace(groups);
    }

    fn partition(&self, work: &PartitionWork) -> GroupPartitionStatus {
        let (source_offset, target_offset) =
            (work.source_commit.as_ref().map(|c| c.offset), work.target_commit.as_ref().map(|c| c.offset));
        let translated = work.forward.offset().filter(|_| source_offset.is_some());
        GroupPartitionStatus {
            source: work.source.clone(),
            target: work.target.clone(),
            source_offset,
            source_lag: source_offset.and_then(|offset| self.source_lag(&work.source, offset)),
            translated,
            worth: source_offset.map(|_| work.forward.worth()),
            target_offset,
            target_lag: work.mirrored.zip(target_offset).map(|((_, next), offset)| (next - offset).max(0)),
            redelivery: redelivery(work, translated, target_offset),
            refused: work.refused.clone(),
        }
    }

    fn source_lag(&self, source: &crate::model::TopicPartition, offset: i64) -> Option<i64> {
        let ends = self.flow.source.ends().borrow().clone();
        let end = *ends.get(&(self.flow.spec.isolation, source.clone()))?;
        Some((end - offset).max(0))
    }
}

/// What a failover now would read again: records that are on the target, and those read but not yet mirrored.
fn redelivery(work: &PartitionWork, translated: Option<i64>, target_offset: Option<i64>) -> Option<i64> {
    let there = (translated? - target_offset?).max(0);
    let ahead =
        work.source_commit.as_ref().zip(work.mirrored).map_or(0, |(c, (next, _))| (c.offset - next).max(0));
    Some(there + ahead)
}
