//! Where a topic may have come from, as the flows of this mesh name things.
//!
//! A name by itself tells little: separators differ from flow to flow, aliases may hold one, and under `identity`
//! nothing is added. The flows that lead into a cluster tell which prefixes were put there by the mesh.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Alias;

use super::{PolicyKind, Topology};

/// What may have brought a topic to a cluster.
#[derive(Clone, Debug, Default)]
struct Inbound {
    /// Sources whose flows put a prefix there: alias, and alias with separator.
    prefixes: Vec<(Alias, String)>,
    /// Sources whose flows keep the names.
    unchanged: Vec<Alias>,
}

/// The flows of a mesh, by where they lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    inbound: BTreeMap<Alias, Inbound>,
}

impl Lineage {
    pub(super) fn new(topology: &Topology) -> Self {
        let mut inbound: BTreeMap<Alias, Inbound> = BTreeMap::new();
        for flow in topology.flows.values() {
            let into = inbound.entry(flow.to.clone()).or_default();
            match flow.naming.policy {
                PolicyKind::Prefix => {
                    into.prefixes
                        .push((flow.from.clone(), format!("{}{}", flow.from, flow.naming.separator)));
                }
                PolicyKind::Identity => into.unchanged.push(flow.from.clone()),
            }
        }
        Self { inbound }
    }

    /// The longest chain of aliases that flows of this mesh may have put in front of `topic` on `cluster`, the
    /// newest first.
    pub(super) fn chain(&self, cluster: &Alias, topic: &str) -> Vec<Alias> {
        self.longest(cluster, topic, &mut BTreeSet::new())
    }

    fn longest<'a>(
        &'a self,
        cluster: &'a Alias,
        topic: &'a str,
        seen: &mut BTreeSet<(&'a Alias, usize)>,
    ) -> Vec<Alias> {
        // Each step either shortens the name or moves on under `identity`, which may go in circles.
        if !seen.insert((cluster, topic.len())) {
            return Vec::new();
        }
        let Some(inbound) = self.inbound.get(cluster) else { return Vec::new() };
        let mut longest = Vec::new();
        for (alias, prefix) in &inbound.prefixes {
            if let Some(rest) = topic.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty()) {
                let mut chain = vec![alias.clone()];
                chain.extend(self.longest(alias, rest, seen));
                longest = if chain.len() > longest.len() { chain } else { longest };
            }
        }
        for alias in &inbound.unchanged {
            let chain = self.longest(alias, topic, seen);
            longest = if chain.len() > longest.len() { chain } else { longest };
        }
        longest
    }
}
