//! Tells what came of a round: the board, events once per change, counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tracing::warn;

use crate::mesh::shared::FlowContext;
use crate::model::groups::{GroupRefusal, GroupStatus, RefusalReason};
use crate::model::{Event, TopicPartition};
use crate::offsets::groups::{GroupReading, GroupWork};
use crate::telemetry::clock;
use crate::topology::GroupSelector;

/// Events about groups in one round. A coordinator that is away concerns thousands of groups; the board has them all.
const MOST_EVENTS: usize = 100;

/// What is told of a flow's groups.
pub(super) struct RoundReport {
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

impl RoundReport {
    pub(super) fn new(flow: Arc<FlowContext>) -> Self {
        Self {
            flow,
            groups: Vec::new(),
            told: HashMap::new(),
            last_sync_ms: HashMap::new(),
            unmatched: BTreeSet::new(),
        }
    }

    /// Whether the flow follows a group; a name that a pattern gives up on is told once, and left.
    pub(super) fn taken(&mut self, group: &str, groups: &GroupSelector) -> bool {
        groups.takes(group).unwrap_or_else(|error| {
            if self.unmatched.insert(group.to_owned()) {
                warn!(target: crate::mesh::LOG, flow = %self.flow.spec.name, group, %error, "group left out: nobody knows whether it matches");
            }
            false
        })
    }

    /// Takes groups that were only read.
    pub(super) fn read(&mut self, readings: Vec<GroupReading>) {
        let ends = self.flow.source.ends().borrow().clone();
        let isolation = self.flow.spec.isolation;
        let end = |source: &TopicPartition| ends.get(&(isolation, source.clone())).copied();
        self.groups.extend(readings.into_iter().map(|reading| reading.into_status(end)));
    }

    /// Takes groups that were judged, their writes carried out.
    pub(super) fn judged(&mut self, works: Vec<GroupWork>) {
        let ends = self.flow.source.ends().borrow().clone();
        let isolation = self.flow.spec.isolation;
        let end = |source: &TopicPartition| ends.get(&(isolation, source.clone())).copied();
        let now_ms = clock::now_ms();
        for work in works {
            let synced_ms = self.last_sync_ms.get(&work.group).copied();
            self.groups.extend(work.into_status(end, synced_ms, now_ms));
        }
    }

    /// Shows the round, and tells what changed.
    pub(super) fn finish(&mut self) {
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
                        class => Event::GroupRefused { group, class: *class, reason: detail },
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
            warn!(target: crate::mesh::LOG, flow = %self.flow.spec.name, groups = more, "more groups changed; `/offsets` shows them all");
        }
        self.flow.groups.replace(groups);
    }
}
