//! The ways topics take through the mesh, found by sending examples along the flows.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{Alias, FlowName, TopicName};

use super::java_regex::{JavaPattern, literal_prefix};
use super::selection::{Choice, Selector};
use super::{FlowSpec, Topology};

/// What a topic is called in examples when the patterns suggest nothing better.
const EXAMPLE: &str = "orders";

/// Ways followed per example: a full mesh that mirrors its mirrors has more than anybody can read.
const MOST_ROUTES: usize = 1_000;

/// One way a topic takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The topic where it starts.
    pub topic: TopicName,
    /// Its name at the end of the way.
    pub name: TopicName,
    /// Clusters on the way, the first is where the topic starts.
    pub path: Vec<Alias>,
    /// Flows on the way.
    pub flows: Vec<FlowName>,
}

impl Route {
    /// The cluster at the end of the way.
    pub fn target(&self) -> &Alias {
        self.path.last().expect("a route has both ends")
    }

    /// Whether the way ends on a cluster that it has been on.
    pub fn comes_back(&self) -> bool {
        let (last, before) = self.path.split_last().expect("a route has both ends");
        before.contains(last)
    }
}

/// Every way that example topics take.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// The ways, by length, then in the order of the flows' names.
    pub list: Vec<Route>,
    /// Whether there were too many to follow them all.
    pub cut_short: bool,
}

/// Sends examples of topics along the flows, from every cluster that a flow leaves.
///
/// A flow with patterns that can't be used takes nothing; `config::load` has told of them.
pub fn routes(topology: &Topology) -> Routes {
    let flows: Vec<(&FlowSpec, Selector)> = topology
        .flows
        .values()
        .filter_map(|flow| Selector::new(flow, topology).ok().map(|selector| (flow, selector)))
        .collect();
    let origins: BTreeSet<&Alias> = flows.iter().map(|(flow, _)| &flow.from).collect();
    let examples = examples(topology);
    let mut routes = Routes::default();
    for origin in origins {
        for example in &examples {
            follow(origin, example, &flows, &mut routes);
        }
    }
    routes.list.sort_by_key(|route| route.path.len());
    routes
}

fn follow(origin: &Alias, topic: &TopicName, flows: &[(&FlowSpec, Selector)], routes: &mut Routes) {
    let start =
        Route { topic: topic.clone(), name: topic.clone(), path: vec![origin.clone()], flows: Vec::new() };
    let mut open = VecDeque::from([start]);
    let mut found = 0;
    while let Some(at) = open.pop_front() {
        for (flow, selector) in flows.iter().filter(|(flow, _)| flow.from == *at.target()) {
            let Choice::Take { remote, .. } = selector.select(&at.name, false) else { continue };
            if found == MOST_ROUTES {
                routes.cut_short = true;
                return;
            }
            found += 1;
            let mut next = at.clone();
            next.name = remote;
            next.path.push(flow.to.clone());
            next.flows.push(flow.name.clone());
            if !next.comes_back() {
                open.push_back(next.clone());
            }
            routes.list.push(next);
        }
    }
}

/// Names that the flows' patterns speak of, without the prefixes of the mesh.
fn examples(topology: &Topology) -> BTreeSet<TopicName> {
    let mut examples = BTreeSet::new();
    for flow in topology.flows.values() {
        for pattern in &flow.topics {
            examples.extend(example(pattern).map(|name| strip_prefixes(topology, &name)));
        }
    }
    if examples.is_empty() {
        examples.insert(TopicName::from(EXAMPLE));
    }
    examples
}

/// A name that the pattern matches, if one comes to mind.
fn example(pattern: &str) -> Option<String> {
    let compiled = JavaPattern::compile(pattern).ok()?;
    let (prefix, exact) = literal_prefix(pattern);
    let endings = if exact { &[""][..] } else { &[EXAMPLE, "", "1", "a", "-1", ".1", "A"] };
    let mut candidates: Vec<String> = endings.iter().map(|ending| format!("{prefix}{ending}")).collect();
    // Patterns such as `(us|eu)\.orders`: the words in them, in their order.
    let words: Vec<&str> =
        pattern.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    candidates.extend(words.iter().map(|word| (*word).to_owned()));
    candidates.extend(words.iter().flat_map(|a| words.iter().map(move |b| format!("{a}.{b}"))));
    candidates.into_iter().find(|name| !name.is_empty() && compiled.matches(name) == Ok(true))
}

/// The name without what flows of this mesh put in front of it.
fn strip_prefixes(topology: &Topology, name: &str) -> TopicName {
    let prefixes: BTreeSet<String> =
        topology.flows.values().map(|flow| format!("{}{}", flow.from, flow.naming.separator)).collect();
    let mut rest = name;
    while let Some(shorter) =
        prefixes.iter().find_map(|prefix| rest.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty()))
    {
        rest = shorter;
    }
    TopicName::from(rest)
}
