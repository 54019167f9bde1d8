//! What callers may not do: everything is allowed but what a test denies.

use std::collections::BTreeSet;

/// An operation, as ACLs name them; its number is the bit that tells of it in answers (KIP-430).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

/// What a topic's operations are.
const OF_TOPICS: [Right; 8] = [
    Right::Read,
    Right::Write,
    Right::Create,
    Right::Delete,
    Right::Alter,
    Right::Describe,
    Right::DescribeConfigs,
    Right::AlterConfigs,
];

/// What is denied.
#[derive(Debug, Default)]
pub(super) struct Denied {
    topics: BTreeSet<(String, Right)>,
    groups: BTreeSet<String>,
    cluster: BTreeSet<Right>,
}

impl Denied {
    pub(super) fn deny_topic(&mut self, topic: &str, rights: &[Right]) {
        self.topics.extend(rights.iter().map(|right| (topic.to_owned(), *right)));
    }

    pub(super) fn deny_group(&mut self, group: &str) {
        self.groups.insert(group.to_owned());
    }

    pub(super) fn deny_cluster(&mut self, right: Right) {
        self.cluster.insert(right);
    }

    pub(super) fn allow_all(&mut self) {
        *self = Self::default();
    }

    /// Whether an operation on a topic is allowed.
    pub(super) fn topic(&self, topic: &str, right: Right) -> bool {
        !self.topics.contains(&(topic.to_owned(), right))
    }

    /// Whether a group may be read and committed for.
    pub(super) fn group(&self, group: &str) -> bool {
        !self.groups.contains(group)
    }

    /// Whether an operation on the cluster is allowed.
    pub(super) fn cluster(&self, right: Right) -> bool {
        !self.cluster.contains(&right)
    }

    /// The bits of what is allowed on a topic.
    pub(super) fn topic_bits(&self, topic: &str) -> i32 {
        let allowed = OF_TOPICS.iter().filter(|right| self.topic(topic, **right));
        allowed.map(|right| 1 << *right as i32).sum()
    }

    /// The bits of what is allowed on the cluster: create, alter, describe, cluster action, configurations,
    /// idempotent write, delegation tokens.
    pub(super) fn cluster_bits(&self) -> i32 {
        const ALL: [i32; 7] = [5, 7, 8, 9, 10, 11, 12];
        let denied = |bit: i32| self.cluster.iter().any(|right| *right as i32 == bit);
        ALL.iter().filter(|bit| !denied(**bit)).map(|bit| 1 << bit).sum()
    }
}
