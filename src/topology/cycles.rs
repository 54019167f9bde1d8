//! What can go wrong between flows: loops, double deliveries, names that meet.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Alias, FlowName, PathText, TopicName};

use super::java_regex::{JavaPattern, literal_prefix};
use super::routes::{Route, Routes};
use super::selection::Selector;
use super::{FlowSpec, PolicyKind, Topology};

/// Loops that are told; whoever mends these has mended most others.
const MOST_LOOPS: usize = 20;

/// Steps in the search for loops; a mesh that needs more has told enough of them by then.
const MOST_STEPS: usize = 100_000;

/// Something about the flows of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The class: a bounded set of words.
    pub code: &'static str,
    /// Whether the mesh must not run like this.
    pub is_error: bool,
    /// The flow that is best looked at.
    pub flow: FlowName,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Everything that can be said of the flows without asking a cluster.
pub fn findings(topology: &Topology, routes: &Routes) -> Vec<Finding> {
    let mut findings = identity_cycles(topology);
    let looping: BTreeSet<FlowName> = findings.iter().map(|finding| finding.flow.clone()).collect();
    findings.extend(returns(topology, routes));
    findings.extend(diamonds(routes, &looping));
    findings.extend(collisions(topology));
    findings.extend(separators(topology));
    findings
}

/// Loops of `identity` flows: records would go round for ever, because no name tells where they have been.
fn identity_cycles(topology: &Topology) -> Vec<Finding> {
    let flows: Vec<&FlowSpec> =
        topology.flows.values().filter(|flow| flow.naming.policy == PolicyKind::Identity).collect();
    let mut search = Search { flows: &flows, loops: Vec::new(), steps: 0 };
    for (index, flow) in flows.iter().enumerate() {
        if flow.from != flow.to {
            search.extend(&mut vec![index]);
        }
    }
    let describe = |flow_loop: &Vec<usize>| {
        let closing = flows[*flow_loop.last().expect("a loop has flows")];
        let path: Vec<Alias> =
            flow_loop.iter().map(|i| flows[*i].from.clone()).chain([closing.to.clone()]).collect();
        let names: Vec<&str> = flow_loop.iter().map(|i| flows[*i].name.as_str()).collect();
        Finding {
            code: "identity_cycle",
            is_error: true,
            flow: closing.name.clone(),
            message: format!(
                "closes a loop of identity flows, records would go round for ever: {} (flows {})",
                PathText(&path),
                names.join(", ")
            ),
            hint: "use `naming: prefix` on one of them, or patterns under `topics` that plainly differ, such as us-.* and eu-.*"
                .to_owned(),
        }
    };
    search.loops.iter().map(describe).collect()
}

struct Search<'a> {
    flows: &'a [&'a FlowSpec],
    loops: Vec<Vec<usize>>,
    steps: usize,
}

impl Search<'_> {
    /// Goes on from the last flow; each loop is found once, from its first flow in the order of names.
    fn extend(&mut self, path: &mut Vec<usize>) {
        let (first, last) = (path[0], path[path.len() - 1]);
        for (index, flow) in self.flows.iter().enumerate().skip(first) {
            self.steps += 1;
            if self.steps > MOST_STEPS || self.loops.len() == MOST_LOOPS {
                return;
            }
            let follows = flow.from == self.flows[last].to && flow.from != flow.to;
            if !follows || path.iter().any(|i| self.flows[*i].to == flow.to || disjoint(self.flows[*i], flow))
            {
                continue;
            }
            path.push(index);
            if flow.to == self.flows[first].from {
                self.loops.push(path.clone());
            } else {
                self.extend(path);
            }
            path.pop();
        }
    }
}

/// Whether two flows surely take no topic in common: their patterns begin differently, or are plain names.
fn disjoint(a: &FlowSpec, b: &FlowSpec) -> bool {
    let apart = |p: &String, q: &String| {
        let ((p_text, p_exact), (q_text, q_exact)) = (literal_prefix(p), literal_prefix(q));
        let takes = |flow: &FlowSpec, pattern: &str, name: &str| {
            let excluded = flow.exclude.iter().any(|pattern| !surely_not(pattern, name));
            !excluded && !surely_not(pattern, name)
        };
        match (p_exact, q_exact) {
            (true, _) if !takes(b, q, &p_text) || !takes(a, p, &p_text) => true,
            (_, true) if !takes(a, p, &q_text) || !takes(b, q, &q_text) => true,
            _ => !p_text.starts_with(&q_text) && !q_text.starts_with(&p_text),
        }
    };
    a.topics.iter().all(|p| b.topics.iter().all(|q| apart(p, q)))
}

fn surely_not(pattern: &str, name: &str) -> bool {
    JavaPattern::compile(pattern).and_then(|pattern| pattern.matches(name)) == Ok(false)
}

/// Ways on which a topic comes back to a cluster under another name.
fn returns(topology: &Topology, routes: &Routes) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for route in routes.list.iter().filter(|route| route.comes_back()) {
        let all_identity = route
            .flows
            .iter()
            .filter_map(|name| topology.flows.get(name))
            .all(|flow| flow.naming.policy == PolicyKind::Identity);
        if all_identity || !told.insert(route.path.clone()) {
            continue;
        }
        findings.push(Finding {
            code: "comes_back",
            is_error: false,
            flow: route.flows.last().expect("a route has flows").clone(),
            message: format!(
                "brings topics back to a cluster they have been on: {} of {} arrives as {} by {}",
                route.topic,
                route.path[0],
                route.name,
                PathText(&route.path)
            ),
            hint: "exclude them under `exclude`, or use `naming: prefix` all the way, which knows where a topic has been"
                .to_owned(),
        });
    }
    findings
}

/// Pairs of ways that bring one topic to one cluster.
fn diamonds(routes: &Routes, looping: &BTreeSet<FlowName>) -> Vec<Finding> {
    let mut first: BTreeMap<(&Alias, &TopicName, &Alias), &Route> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for route in &routes.list {
        if route.comes_back() || route.flows.iter().any(|flow| looping.contains(flow)) {
            continue;
        }
        let other = *first.entry((&route.path[0], &route.topic, route.target())).or_insert(route);
        if other.path == route.path || !told.insert((other.path.clone(), route.path.clone())) {
            continue;
        }
        let outcome = if other.name == route.name {
            format!("each record would be written twice into {}", route.name)
        } else {
            format!("{} and {} would both be there", other.name, route.name)
        };
        findings.push(Finding {
            code: "diamond",
            is_error: false,
            flow: route.flows.last().expect("a route has flows").clone(),
            message: format!(
                "brings {} of {} to {} a second time: {} and {}; {outcome}",
                route.topic,
                route.path[0],
                route.target(),
                PathText(&other.path),
                PathText(&route.path)
            ),
            hint: format!(
                "if one copy is enough, exclude mirrored topics from this flow, for example with `{}`",
                format!("{}\\..*", route.path[0])
            ),
        });
    }
    findings
}

/// Flows into one cluster whose remote names can be the same.
fn collisions(topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    let flows: Vec<&FlowSpec> = topology.flows.values().collect();
    for (index, a) in flows.iter().enumerate() {
        for b in &flows[index + 1..] {
            if a.to != b.to || a.from == b.from {
                continue;
            }
            let prefix = |flow: &FlowSpec| format!("{}{}", flow.from, flow.naming.separator);
            match (a.naming.policy, b.naming.policy) {
                (PolicyKind::Prefix, PolicyKind::Prefix) => {
                    let (short, long) = if prefix(a).len() <= prefix(b).len() { (*a, *b) } else { (*b, *a) };
                    if let Some(rest) = prefix(long).strip_prefix(prefix(short).as_str()) {
                        findings.push(prefix_collision(short, long, rest));
                    }
                }
                (PolicyKind::Identity, PolicyKind::Identity) if !disjoint(a, b) => {
                    findings.push(Finding {
                        code: "merged_topics",
                        is_error: false,
                        flow: b.name.clone(),
                        message: format!(
                            "keeps names like flow {}, also into {}: topics of {} and {} with the same name are merged into one",
                            a.name, a.to, a.from, b.from
                        ),
                        hint: "use `naming: prefix` unless they are meant to be merged".to_owned(),
                    });
                }
                _ => {}
            }
        }
    }
    findings
}

fn prefix_collision(short: &FlowSpec, long: &FlowSpec, rest: &str) -> Finding {
    Finding {
        code: "prefix_collision",
        is_error: true,
        flow: long.name.clone(),
        message: format!(
            "can give a topic the same name as flow {} does on {}: {rest}orders of {} and orders of {} both become {}{}{rest}orders",
            short.name, long.to, short.from, long.from, short.from, short.naming.separator
        ),
        hint: "give one of the clusters another alias, or one of the flows another `separator`".to_owned(),
    }
}

/// Aliases with a separator in them: we know where such an alias ends, Kafka's Java clients don't.
fn separators(topology: &Topology) -> Vec<Finding> {
    let prefix = topology.flows.values().filter(|flow| flow.naming.policy == PolicyKind::Prefix);
    prefix
        .filter(|flow| !flow.naming.separator.is_empty() && flow.from.as_str().contains(&flow.naming.separator))
        .map(|flow| Finding {
            code: "separator_in_alias",
            is_error: false,
            flow: flow.name.clone(),
            message: format!(
                "puts the alias {} in front of topics, which has the separator {:?} in it: Kafka's Java clients can't tell where it ends",
                flow.from, flow.naming.separator
            ),
            hint: "choose another alias, such as one with - in it, or another `separator`".to_owned(),
        })
        .collect()
}

/// Local topics of a cluster whose first segment is an alias, although no flow brought them there.
///
/// They look mirrored to everybody who reads names, and flows to that alias leave them out as a cycle.
pub fn misleading_names(topology: &Topology, cluster: &Alias, topics: &[TopicName]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for flow in topology.flows.values().filter(|flow| flow.from == *cluster) {
        let Ok(selector) = Selector::new(flow, topology) else { continue };
        for topic in topics {
            let naming = selector.naming();
            if naming.policy() != PolicyKind::Prefix || naming.is_internal(topic.as_str()) {
                continue;
            }
            let Some(alias) = naming.source_of(topic.as_str()) else { continue };
            let brought = topology.flows.values().any(|other| other.from == alias && other.to == *cluster);
            if topology.clusters.contains_key(&alias) && !brought {
                findings.push(Finding {
                    code: "misleading_name",
                    is_error: false,
                    flow: flow.name.clone(),
                    message: format!(
                        "topic {topic} on {cluster} looks mirrored from {alias}, but no flow brings it there"
                    ),
                    hint: "rename the alias, or use another `separator`".to_owned(),
                });
            }
        }
    }
    findings
}

/// Topics of different flows that would get the same name on a cluster, given the topics of each source.
pub fn name_collisions(topology: &Topology, topics: &BTreeMap<Alias, Vec<TopicName>>) -> Vec<Finding> {
    let mut names: BTreeMap<(Alias, TopicName), (&FlowSpec, TopicName)> = BTreeMap::new();
    let mut findings = Vec::new();
    for flow in topology.flows.values() {
        let Ok(selector) = Selector::new(flow, topology) else { continue };
        for topic in topics.get(&flow.from).into_iter().flatten() {
            let Some(remote) = selector.select(topic, false).remote().cloned() else { continue };
            match names.get(&(flow.to.clone(), remote.clone())) {
                Some((other, theirs)) => findings.push(Finding {
                    code: "name_collision",
                    is_error: false,
                    flow: flow.name.clone(),
                    message: format!(
                        "writes {topic} of {} into {remote} on {}, as flow {} does with {theirs} of {}",
                        flow.from, flow.to, other.name, other.from
                    ),
                    hint: "exclude the topic from one of the flows unless the two are meant to be merged"
                        .to_owned(),
                }),
                None => drop(names.insert((flow.to.clone(), remote), (flow, topic.clone()))),
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
