//! Which topics a flow takes, and why it leaves the others.

use crate::model::{Alias, TopicName};

use super::java_regex::{JavaPattern, PatternError};
use super::lineage::Lineage;
use super::naming::Naming;
use super::{FlowSpec, Topology};

/// Longest topic name that Kafka takes.
pub const MAX_TOPIC_NAME: usize = 249;

/// What a flow does with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It mirrors the topic.
    Take {
        /// The name on the target.
        remote: TopicName,
        /// The pattern that took it, or `heartbeats`.
        rule: String,
    },
    /// It doesn't.
    Leave {
        /// Why.
        reason: LeaveReason,
    },
}

impl Choice {
    /// The name on the target, if the topic is taken.
    pub fn remote(&self) -> Option<&TopicName> {
        match self {
            Self::Take { remote, .. } => Some(remote),
            Self::Leave { .. } => None,
        }
    }
}

/// Why a flow leaves a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveReason {
    /// A pattern of `exclude` matches.
    #[error("excluded by pattern `{pattern}`")]
    Excluded {
        /// The pattern.
        pattern: String,
    },
    /// No pattern of `topics` matches.
    #[error("no pattern of `topics` matches")]
    NoPatternMatches,
    /// Kafka's, MirrorMaker 2's or our own inner workings.
    #[error("internal topic: {what}")]
    Internal {
        /// Whose.
        what: &'static str,
    },
    /// It has been on the target or the source before.
    #[error("cycle: the name says it has been on {alias} already ({chain})")]
    Cycle {
        /// The cluster it would come back to.
        alias: Alias,
        /// The way it took, as its name tells.
        chain: String,
    },
    /// It has passed too many mirrors.
    #[error("{hops} hops, more than max_hops allows ({limit})")]
    TooManyHops {
        /// Mirrors after this flow.
        hops: usize,
        /// The flow's `max_hops`.
        limit: u32,
    },
    /// The remote name is longer than Kafka allows.
    #[error("the remote name {remote} has {} characters, Kafka allows {MAX_TOPIC_NAME}", remote.as_str().len())]
    NameTooLong {
        /// The name it would get.
        remote: TopicName,
    },
    /// The target has a topic whose name Kafka takes for the same.
    #[error(
        "the remote name {remote} collides with {other} on the target: Kafka takes `.` and `_` for the same"
    )]
    Collision {
        /// The name it would get.
        remote: TopicName,
        /// The topic that is there.
        other: TopicName,
    },
    /// A pattern gave up on this name: nobody knows whether it matches.
    #[error("{0}")]
    PatternFailed(PatternError),
}

impl LeaveReason {
    /// Whether a person has to act: the topic may well be meant to be mirrored.
    pub fn is_problem(&self) -> bool {
        matches!(
            self,
            Self::TooManyHops { .. }
                | Self::NameTooLong { .. }
                | Self::Collision { .. }
                | Self::PatternFailed(_)
        )
    }
}

/// A flow's choice of topics, compiled once.
#[derive(Clone, Debug)]
pub struct Selector {
    naming: Naming,
    from: Alias,
    to: Alias,
    topics: Vec<JavaPattern>,
    exclude: Vec<JavaPattern>,
    heartbeats: bool,
    max_hops: u32,
    lineage: Lineage,
}

impl Selector {
    /// Compiles the patterns of a flow of this mesh.
    ///
    /// Fails with the first pattern that can't be used; `config::load` reports all of them.
    pub fn new(flow: &FlowSpec, topology: &Topology) -> Result<Self, PatternError> {
        let compile = |patterns: &[String]| -> Result<Vec<_>, _> {
            patterns.iter().map(|pattern| JavaPattern::compile(pattern)).collect()
        };
        Ok(Self {
            naming: Naming::from_spec(&flow.naming, &flow.from),
            from: flow.from.clone(),
            to: flow.to.clone(),
            topics: compile(&flow.topics)?,
            exclude: compile(&flow.exclude)?,
            heartbeats: flow.heartbeats.enabled,
            max_hops: flow.max_hops,
            lineage: Lineage::new(topology),
        })
    }

    /// What the flow does with a topic of its source; `internal` is what the broker says of it.
    pub fn select(&self, topic: &TopicName, internal: bool) -> Choice {
        match self.decide(topic, internal) {
            Ok((remote, rule)) => Choice::Take { remote, rule },
            Err(reason) => Choice::Leave { reason },
        }
    }

    /// The flow's naming.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    fn decide(&self, topic: &TopicName, internal: bool) -> Result<(TopicName, String), LeaveReason> {
        let name = topic.as_str();
        if let Some(what) = self.internal(name, internal) {
            return Err(LeaveReason::Internal { what });
        }
        let rule = self.rule(name)?;
        // What the name says to anybody (MirrorMaker 2's rule), and what it says to those who know the mesh.
        let known = self.lineage.chain(&self.from, name);
        for chain in [&self.naming.chain(name), &known] {
            if let Some(alias) = chain.iter().find(|alias| **alias == self.to || **alias == self.from) {
                let chain = chain.iter().rev().map(Alias::as_str).collect::<Vec<_>>().join(" → ");
                return Err(LeaveReason::Cycle { alias: alias.clone(), chain });
            }
        }
        // A local name with dots looks like a long chain; only what this mesh put there counts.
        let hops = known.len() + 1;
        if hops > self.max_hops as usize {
            return Err(LeaveReason::TooManyHops { hops, limit: self.max_hops });
        }
        let remote = self.naming.remote_name(topic);
        if remote.as_str().len() > MAX_TOPIC_NAME {
            return Err(LeaveReason::NameTooLong { remote });
        }
        Ok((remote, rule))
    }

    fn internal(&self, topic: &str, internal: bool) -> Option<&'static str> {
        if self.naming.is_own(topic) {
            Some("MirrorMesh's own")
        } else if internal || topic.starts_with("__") || topic.starts_with('.') {
            Some("Kafka's own")
        } else if self.naming.is_internal(topic) {
            Some("MirrorMaker 2's own")
        } else {
            None
        }
    }

    /// The pattern that takes the topic. Heartbeats are taken whatever the patterns say, as MirrorMaker 2 does.
    fn rule(&self, topic: &str) -> Result<String, LeaveReason> {
        if self.heartbeats && self.naming.is_heartbeats(topic) {
            return Ok("heartbeats".to_owned());
        }
        if let Some(pattern) = first_match(&self.exclude, topic)? {
            return Err(LeaveReason::Excluded { pattern });
        }
        first_match(&self.topics, topic)?.ok_or(LeaveReason::NoPatternMatches)
    }
}

fn first_match(patterns: &[JavaPattern], topic: &str) -> Result<Option<String>, LeaveReason> {
    for pattern in patterns {
        if pattern.matches(topic).map_err(LeaveReason::PatternFailed)? {
            return Ok(Some(pattern.text().to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
