//! What topics are called on the other side, and what a name tells of where a topic came from.
//!
//! The rules are MirrorMaker 2's (DefaultReplicationPolicy and IdentityReplicationPolicy of Kafka 4.4), because
//! its users, its Java client and other programs read these names.

use crate::model::{Alias, TopicName};

use super::{NamingSpec, PolicyKind};

/// The topic into which heartbeats are written, before it is mirrored.
pub const HEARTBEATS_TOPIC: &str = "heartbeats";

/// How the names of our own internal topics start; MirrorMaker 2 and others skip what starts with `__`.
pub const OWN_TOPIC_PREFIX: &str = "__mirrormesh-";

/// A naming policy as one flow uses it.
#[derive(Clone, Debug)]
pub struct Naming {
    policy: PolicyKind,
    separator: String,
    source: Alias,
}

impl Naming {
    /// The policy of a flow whose source is `source`.
    pub fn from_spec(spec: &NamingSpec, source: &Alias) -> Self {
        Self { policy: spec.policy, separator: spec.separator.clone(), source: source.clone() }
    }

    /// The name that `topic` gets on the target.
    pub fn remote_name(&self, topic: &TopicName) -> TopicName {
        if self.keeps_name(topic.as_str()) {
            topic.clone()
        } else {
            TopicName::from(format!("{}{}{}", self.source, self.separator, topic))
        }
    }

    /// The alias of the cluster that `topic` was mirrored from, as far as its name tells.
    ///
    /// Under `prefix` any name with the separator in it looks mirrored: `orders.v1` comes "from orders".
    /// Under `identity` every topic comes from the flow's source.
    pub fn source_of(&self, topic: &str) -> Option<Alias> {
        if self.keeps_name(topic) {
            Some(self.source.clone())
        } else {
            self.split(topic).map(|(alias, _)| Alias::from(alias))
        }
    }

    /// The name that `topic` has one cluster up the chain; `None` if it starts here.
    pub fn upstream_of(&self, topic: &str) -> Option<TopicName> {
        if self.keeps_name(topic) {
            Some(TopicName::from(topic))
        } else {
            self.split(topic).map(|(_, rest)| TopicName::from(rest))
        }
    }

    /// The name that the topic has where it started.
    pub fn original_of(&self, topic: &str) -> TopicName {
        TopicName::from(self.strip_all(topic))
    }

    /// The aliases in front of a name, the newest first: `[b, a]` for `b.a.orders`.
    ///
    /// Empty where the name tells nothing: for local topics, and under `identity` for all but heartbeats.
    pub fn chain(&self, topic: &str) -> Vec<Alias> {
        let mut chain = Vec::new();
        let mut rest = topic;
        while !self.keeps_name(rest) {
            let Some((alias, upstream)) = self.split(rest) else { break };
            chain.push(Alias::from(alias));
            rest = upstream;
        }
        chain
    }

    /// How many mirrors a topic has passed, as far as its name tells.
    pub fn hops(&self, topic: &str) -> usize {
        self.chain(topic).len()
    }

    /// Whether this is a heartbeats topic, mirrored or not.
    pub fn is_heartbeats(&self, topic: &str) -> bool {
        self.strip_all(topic) == HEARTBEATS_TOPIC
    }

    /// MirrorMaker 2's topic for the checkpoints of groups of the source, on the target.
    pub fn checkpoints_topic(&self) -> TopicName {
        let (source, separator) = (&self.source, &self.separator);
        TopicName::from(format!("{source}{separator}checkpoints{separator}internal"))
    }

    /// Whether this is one of MirrorMaker 2's checkpoint topics.
    pub fn is_checkpoints(&self, topic: &str) -> bool {
        ends_with_parts(topic, &self.separator, &["checkpoints", "internal"])
            || topic.ends_with(".checkpoints.internal")
    }

    /// Whether MirrorMaker 2 or its Connect workers keep their own state in this topic.
    ///
    /// Connect's three topics always use `.`, whatever the separator, so both forms count.
    pub fn is_mm2_internal(&self, topic: &str) -> bool {
        let ends = ends_with_parts(topic, &self.separator, &["internal"]) || topic.ends_with(".internal");
        (topic.starts_with("mm2") && ends) || self.is_checkpoints(topic)
    }

    /// Whether this is one of our own topics, under any prefix.
    pub fn is_own(&self, topic: &str) -> bool {
        topic.contains(OWN_TOPIC_PREFIX)
    }

    /// Whether a topic is somebody's inner workings and is never mirrored: Kafka's, MirrorMaker 2's or ours.
    pub fn is_internal(&self, topic: &str) -> bool {
        topic.starts_with("__")
            || topic.starts_with('.')
            || self.is_own(topic)
            || self.is_mm2_internal(topic)
            || self.chain_contains_internal(topic)
    }

    /// Between alias and topic.
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// The policy.
    pub fn policy(&self) -> PolicyKind {
        self.policy
    }

    /// A mirrored copy of MirrorMaker 2's state is no more use than the state itself.
    fn chain_contains_internal(&self, topic: &str) -> bool {
        let mut rest = topic;
        while let Some((_, upstream)) = self.split(rest) {
            if self.is_mm2_internal(upstream) {
                return true;
            }
            rest = upstream;
        }
        false
    }

    /// Whether the policy leaves this name as it is.
    fn keeps_name(&self, topic: &str) -> bool {
        self.policy == PolicyKind::Identity && !topic.ends_with(HEARTBEATS_TOPIC)
    }

    /// Alias and rest, if there is a separator with something behind it.
    ///
    /// As Java's `split`, which drops empty segments at the end: `orders.` and `orders..` have no alias.
    fn split<'a>(&self, topic: &'a str) -> Option<(&'a str, &'a str)> {
        let (alias, rest) = topic.split_once(self.separator.as_str())?;
        rest.split(self.separator.as_str()).any(|segment| !segment.is_empty()).then_some((alias, rest))
    }

    fn strip_all<'a>(&self, topic: &'a str) -> &'a str {
        let mut rest = topic;
        while !self.keeps_name(rest) {
            let Some((_, upstream)) = self.split(rest) else { break };
            rest = upstream;
        }
        rest
    }
}

/// Whether `topic` ends with `parts`, each behind a separator.
fn ends_with_parts(topic: &str, separator: &str, parts: &[&str]) -> bool {
    let mut rest = topic;
    for part in parts.iter().rev() {
        match rest.strip_suffix(part).and_then(|front| front.strip_suffix(separator)) {
            Some(front) => rest = front,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
