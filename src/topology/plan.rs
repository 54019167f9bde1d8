//! What a flow would do now: topics to mirror, to create, to grow, to change, and those it leaves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{ConfigEntry, FlowName, TopicName};

use super::engine::{self, EngineChoice};
use super::java_regex::PatternError;
use super::selection::{Choice, LeaveReason, Selector};
use super::topic_config::{ConfigEdit, ConfigRules};
use super::{FlowSpec, ReplicationFactor, Topology};

/// What Kafka takes for "the broker's default" number of replicas.
pub const BROKER_DEFAULT: i16 = -1;

/// A topic of the source.
#[derive(Clone, Debug)]
pub struct SourceTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions it has.
    pub partitions: i32,
    /// Whether the broker calls it internal.
    pub internal: bool,
    /// How many replicas its partitions have.
    pub replication_factor: i16,
    /// Its configuration; empty where it could not be read.
    pub configs: Vec<ConfigEntry>,
}

/// A topic of the target.
#[derive(Clone, Debug)]
pub struct TargetTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions it has.
    pub partitions: i32,
    /// Its configuration; empty where it could not be read.
    pub configs: Vec<ConfigEntry>,
}

/// Everything a flow would do now.
#[derive(Clone, Debug, Serialize)]
pub struct FlowPlan {
    /// The flow.
    pub flow: FlowName,
    /// How its batches are moved, and why so.
    pub engine: EngineChoice,
    /// Topics it mirrors.
    pub selected: Vec<Selected>,
    /// Remote topics it creates.
    pub create: Vec<Creation>,
    /// Remote topics that get more partitions.
    pub grow: Vec<Growth>,
    /// Remote topics whose configuration it changes.
    pub config_changes: Vec<ConfigChanges>,
    /// Topics it leaves, and why.
    pub left_out: Vec<LeftOut>,
    /// What a person may want to know about the rest.
    pub notes: Vec<String>,
}

/// A topic that is mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Selected {
    /// On the source.
    pub topic: TopicName,
    /// On the target.
    pub remote: TopicName,
    /// The pattern that took it.
    pub rule: String,
    /// Partitions on the source.
    pub partitions: i32,
}

/// A remote topic to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Creation {
    /// On the source.
    pub topic: TopicName,
    /// On the target.
    pub remote: TopicName,
    /// How many partitions it gets.
    pub partitions: i32,
    /// How many replicas; [`BROKER_DEFAULT`] for the target's default.
    pub replication_factor: i16,
    /// Its configuration.
    pub configs: Vec<(String, String)>,
}

/// A remote topic that gets more partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// On the target.
    pub remote: TopicName,
    /// Partitions it has.
    pub from: i32,
    /// Partitions it gets.
    pub to: i32,
}

/// Changes of a remote topic's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigChanges {
    /// On the target.
    pub remote: TopicName,
    /// What changes.
    pub edits: Vec<ConfigEdit>,
}

/// A topic that is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// On the source.
    pub topic: TopicName,
    /// Why.
    pub reason: String,
    /// Whether a person has to act: it may well be meant to be mirrored.
    pub is_problem: bool,
}

/// Works out what a flow would do; `target_brokers` bounds a replication factor that follows the source's.
///
/// Fails with the first pattern that can't be used.
pub fn flow_plan(
    flow: &FlowSpec,
    topology: &Topology,
    source: &[SourceTopic],
    target: &[TargetTopic],
    target_brokers: usize,
) -> Result<FlowPlan, PatternError> {
    let mut planner = Planner {
        flow,
        selector: Selector::new(flow, topology)?,
        rules: ConfigRules::new(&flow.topic_configs)?,
        existing: target.iter().map(|topic| (topic.name.clone(), topic)).collect(),
        metric_names: target.iter().map(|topic| (metric_name(&topic.name), topic.name.clone())).collect(),
        target_brokers,
        plan: FlowPlan {
            flow: flow.name.clone(),
            engine: engine::choose(flow),
            selected: Vec::new(),
            create: Vec::new(),
            grow: Vec::new(),
            config_changes: Vec::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
        },
    };
    let mut source: Vec<&SourceTopic> = source.iter().collect();
    source.sort_by(|a, b| a.name.cmp(&b.name));
    for topic in source {
        planner.topic(topic);
    }
    Ok(planner.plan)
}

struct Planner<'a> {
    flow: &'a FlowSpec,
    selector: Selector,
    rules: ConfigRules,
    existing: BTreeMap<TopicName, &'a TargetTopic>,
    /// Topics of the target, and those to be created, by the name Kafka's metrics give them.
    metric_names: BTreeMap<String, TopicName>,
    target_brokers: usize,
    plan: FlowPlan,
}

impl Planner<'_> {
    fn topic(&mut self, topic: &SourceTopic) {
        let (remote, rule) = match self.choose(topic) {
            Ok(taken) => taken,
            Err(reason) => {
                let is_problem = reason.is_problem();
                let reason = reason.to_string();
                return self.plan.left_out.push(LeftOut { topic: topic.name.clone(), reason, is_problem });
            }
        };
        match self.existing.get(&remote).copied() {
            None => self.create(topic, &remote),
            Some(there) => self.follow(topic, there),
        }
        self.plan.selected.push(Selected {
            topic: topic.name.clone(),
            remote,
            rule,
            partitions: topic.partitions,
        });
    }

    fn choose(&mut self, topic: &SourceTopic) -> Result<(TopicName, String), LeaveReason> {
        let (remote, rule) = match self.selector.select(&topic.name, topic.internal) {
            Choice::Take { remote, rule } => (remote, rule),
            Choice::Leave { reason } => return Err(reason),
        };
        if self.existing.contains_key(&remote) {
            return Ok((remote, rule));
        }
        match self.metric_names.insert(metric_name(&remote), remote.clone()) {
            Some(other) if other != remote => {
                self.metric_names.insert(metric_name(&remote), other.clone());
                Err(LeaveReason::Collision { remote, other })
            }
            _ => Ok((remote, rule)),
        }
    }

    fn create(&mut self, topic: &SourceTopic, remote: &TopicName) {
        let replication_factor = match self.flow.replication_factor {
            ReplicationFactor::BrokerDefault => BROKER_DEFAULT,
            ReplicationFactor::Fixed(count) => count,
            ReplicationFactor::Source => {
                let most = i16::try_from(self.target_brokers).unwrap_or(i16::MAX).max(1);
                if topic.replication_factor > most {
                    self.plan.notes.push(format!(
                        "{remote} gets {most} replicas, not {} as on {}: {} has no more brokers",
                        topic.replication_factor, self.flow.from, self.flow.to
                    ));
                }
                topic.replication_factor.clamp(1, most)
            }
        };
        self.plan.create.push(Creation {
            topic: topic.name.clone(),
            remote: remote.clone(),
            partitions: topic.partitions,
            replication_factor,
            configs: self.rules.creation(&topic.configs),
        });
    }

    fn follow(&mut self, topic: &SourceTopic, there: &TargetTopic) {
        if there.partitions < topic.partitions {
            let remote = there.name.clone();
            self.plan.grow.push(Growth { remote, from: there.partitions, to: topic.partitions });
        } else if there.partitions > topic.partitions {
            self.plan.notes.push(format!(
                "{} has {} partitions, {} on {} has {}: the others stay empty",
                there.name, there.partitions, topic.name, self.flow.from, topic.partitions
            ));
        }
        if self.flow.topic_configs.enabled {
            let edits = self.rules.changes(&topic.configs, &there.configs);
            if !edits.is_empty() {
                self.plan.config_changes.push(ConfigChanges { remote: there.name.clone(), edits });
            }
        }
    }
}

/// Kafka refuses a topic whose name differs from another's only in `.` and `_`.
fn metric_name(topic: &TopicName) -> String {
    topic.as_str().replace('.', "_")
}

#[cfg(test)]
mod tests;
