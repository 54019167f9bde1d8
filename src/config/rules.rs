//! What must hold between keys: names that exist, patterns that compile, flows that make sense.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Alias, FlowName};
use crate::topology::cycles::findings;
use crate::topology::java_regex::JavaPattern;
use crate::topology::routes::Routes;
use crate::topology::{EngineSpec, FlowSpec, Topology};

use super::build::{ValuesView, named};
use super::layers::Layers;
use super::problem::{Origin, Problem, ProblemSeverity, did_you_mean};
use super::tree::{Leaf, Parsed, Tree};
use super::values;

/// Checks each key against the others; returns the mesh without the flows that make no sense by themselves.
pub(crate) fn check(
    layers: &Layers,
    tree: &Tree,
    topology: &Topology,
    problems: &mut Vec<Problem>,
) -> Topology {
    let mut rules = Rules { layers, tree, topology, problems };
    rules.clusters();
    rules.flows();
    rules.duplicate_flows();
    rules.patterns();
    rules.telemetry();
    let mut ends = BTreeSet::new();
    let mut sound = topology.clone();
    sound.flows.retain(|_, flow| {
        let known = [&flow.from, &flow.to].iter().all(|alias| topology.clusters.contains_key(*alias));
        known && flow.from != flow.to && ends.insert((flow.from.clone(), flow.to.clone()))
    });
    sound
}

/// Checks what the flows do together: loops, double deliveries, names that meet.
pub(crate) fn check_ways(layers: &Layers, sound: &Topology, routes: &Routes, problems: &mut Vec<Problem>) {
    for finding in findings(sound, routes) {
        let origin = layers.in_file(&["flows".to_owned(), finding.flow.to_string()]);
        let severity = if finding.is_error { ProblemSeverity::Error } else { ProblemSeverity::Warning };
        let problem =
            Problem::error(finding.code, format!("flows.{}", finding.flow), &origin, finding.message);
        problems.push(Problem { severity, hint: Some(finding.hint), ..problem });
    }
}

struct Rules<'a> {
    layers: &'a Layers,
    tree: &'a Tree,
    topology: &'a Topology,
    problems: &'a mut Vec<Problem>,
}

impl Rules<'_> {
    /// The origin of a key that is set, or the place where it should be.
    fn origin(&self, path: &[&str]) -> Origin {
        match self.tree.leaf(path) {
            Some(leaf) => leaf.origin.clone(),
            None => self.layers.in_file(&path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()),
        }
    }

    /// Whether something stands in the layers at a path, right or wrong.
    fn is_set(&self, path: &[&str]) -> bool {
        let Some((last, above)) = path.split_last() else { return false };
        let mut dict = Some(&self.layers.merged);
        for part in above {
            dict = dict.and_then(|dict| dict.get(*part)).and_then(|value| value.as_dict());
        }
        dict.and_then(|dict| dict.get(*last))
            .is_some_and(|value| !matches!(value, figment::value::Value::Empty(..)))
    }

    fn clusters(&mut self) {
        if !self.is_set(&["clusters"]) {
            let origin = self.origin(&["clusters"]);
            let problem =
                Problem::error("missing_key", "clusters", &origin, "is missing: a mesh needs clusters");
            self.problems.push(problem.hint("clusters:\n      us:\n        bootstrap: localhost:9092"));
        }
        for (name, _) in named(self.tree, "clusters") {
            let origin = self.layers.in_file(&["clusters".to_owned(), name.to_owned()]);
            let key = format!("clusters.{name}");
            self.name(name, &key, &origin);
            if name.starts_with("__") || name.starts_with('.') {
                let message = "is no good alias: topics mirrored from it would look internal";
                self.problems
                    .push(Problem::error("bad_name", &key, &origin, message).hint("start it with a letter"));
            }
            if !self.is_set(&["clusters", name, "bootstrap"]) {
                let key = format!("{key}.bootstrap");
                let problem =
                    Problem::error("missing_key", key, &origin, "is missing: where is this cluster?");
                self.problems.push(problem.allowed(values::allowed(super::keys::Kind::Servers)));
            }
        }
        self.same_bootstrap();
    }

    /// Two aliases with a server in common are one cluster under two names.
    fn same_bootstrap(&mut self) {
        let mut seen: BTreeMap<&str, &Alias> = BTreeMap::new();
        for cluster in self.topology.clusters.values() {
            for server in &cluster.bootstrap {
                match seen.get(server.as_str()) {
                    Some(other) if **other != cluster.alias => {
                        let alias = cluster.alias.as_str();
                        let origin = self.origin(&["clusters", alias, "bootstrap"]);
                        let message =
                            format!("names the same server as cluster {other}: one cluster, two aliases");
                        let problem = Problem::error(
                            "same_cluster",
                            format!("clusters.{alias}.bootstrap"),
                            &origin,
                            message,
                        );
                        self.problems
                            .push(problem.given(server.as_str()).hint("give each cluster one alias"));
                        break;
                    }
                    _ => drop(seen.insert(server, &cluster.alias)),
                }
            }
        }
    }

    /// Aliases and flow names go into topic names, metrics and addresses.
    fn name(&mut self, name: &str, key: &str, origin: &Origin) {
        const LONGEST: usize = 64;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > LONGEST || !name.chars().all(legal) {
            let problem = Problem::error("bad_name", key, origin, "is not a usable name").given(name);
            self.problems.push(problem.allowed(format!("letters, digits, -, _ and ., at most {LONGEST}")));
        }
    }

    fn flows(&mut self) {
        if !self.is_set(&["flows"]) {
            let origin = self.origin(&["flows"]);
            let problem =
                Problem::error("missing_key", "flows", &origin, "is missing: nothing would be mirrored");
            self.problems.push(problem.hint("flows:\n      us-to-eu:\n        from: us\n        to: eu"));
        }
        let topology = self.topology;
        for (name, flow) in &topology.flows {
            let name = name.as_str();
            let key = format!("flows.{name}");
            let origin = self.layers.in_file(&["flows".to_owned(), name.to_owned()]);
            self.name(name, &key, &origin);
            self.end(name, "from", &flow.from);
            self.end(name, "to", &flow.to);
            if flow.from == flow.to && !flow.from.as_str().is_empty() {
                let origin = self.origin(&["flows", name, "to"]);
                let message = "is the cluster that the flow comes from: it would mirror into itself";
                let problem = Problem::error("flow_to_itself", format!("{key}.to"), &origin, message);
                let given = self.shown(&["flows", name, "to"]);
                self.problems.push(problem.given(given).allowed("another cluster"));
            }
            self.separator(name, &flow.naming.separator);
            self.unused_codec(name, flow);
        }
    }

    fn end(&mut self, flow: &str, end: &str, alias: &Alias) {
        let key = format!("flows.{flow}.{end}");
        let path = ["flows", flow, end];
        let origin = self.origin(&path);
        let aliases: Vec<&str> = self.topology.clusters.keys().map(Alias::as_str).collect();
        if !self.is_set(&path) {
            let problem = Problem::error("missing_key", key, &origin, "is missing: a flow needs both ends");
            self.problems.push(problem.allowed(aliases.join(", ")));
        } else if self.tree.leaf(&path).is_some() && !self.topology.clusters.contains_key(alias) {
            let problem = Problem::error("unknown_alias", key, &origin, "is not a cluster of this mesh");
            let problem = problem.given(self.shown(&path)).allowed(aliases.join(", "));
            self.problems.push(problem.maybe_hint(did_you_mean(alias.as_str(), aliases.iter().copied())));
        }
    }

    /// With passthrough a codec has next to nothing to do.
    fn unused_codec(&mut self, name: &str, flow: &FlowSpec) {
        if flow.engine != EngineSpec::Passthrough || !flow.codec_is_explicit {
            return;
        }
        let set = self.tree.leaf(&["flows", name, "codec"]).or(self.tree.leaf(&["defaults", "codec"]));
        let Some(leaf) = set else { return };
        let message =
            "counts for hardly a batch: with `engine: passthrough` batches keep their own compression";
        let problem = Problem::warning("unused_codec", leaf.path.join("."), &leaf.origin, message);
        let problem = problem.given(shown(leaf)).hint("leave it out, or set `engine: records`");
        // Several flows share a default; it is told once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn shown(&self, path: &[&str]) -> String {
        self.tree.leaf(path).map(shown).unwrap_or_default()
    }

    fn separator(&mut self, flow: &str, separator: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let set =
            self.tree.leaf(&["flows", flow, "separator"]).or(self.tree.leaf(&["defaults", "separator"]));
        if !separator.is_empty() && separator.chars().all(legal) {
            return;
        }
        let Some(leaf) = set else { return };
        let given = shown(leaf);
        let problem =
            Problem::error("bad_separator", leaf.path.join("."), &leaf.origin, "can't stand in a topic name");
        let problem = problem.given(given);
        let problem = problem.allowed("letters, digits, -, _ and .");
        // Several flows share a default; it is told once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn duplicate_flows(&mut self) {
        let mut seen: BTreeMap<(&Alias, &Alias), &FlowName> = BTreeMap::new();
        for (name, flow) in &self.topology.flows {
            if flow.from.as_str().is_empty() || flow.to.as_str().is_empty() {
                continue;
            }
            match seen.get(&(&flow.from, &flow.to)) {
                Some(first) => {
                    let origin = self.origin(&["flows", name.as_str(), "from"]);
                    let message = format!("has the same ends as flow {first}: {} to {}", flow.from, flow.to);
                    let problem = Problem::error("duplicate_flow", format!("flows.{name}"), &origin, message);
                    self.problems.push(problem.hint("one flow can take several patterns under `topics`"));
                }
                None => drop(seen.insert((&flow.from, &flow.to), name)),
            }
        }
    }

    /// Every pattern in the tree, those under `defaults` included, once each.
    fn patterns(&mut self) {
        let empty = Tree::Branch(BTreeMap::new());
        let defaults = [("defaults", self.tree.at(&["defaults"]).unwrap_or(&empty))];
        let places: Vec<&Tree> =
            defaults.into_iter().chain(named(self.tree, "flows")).map(|(_, tree)| tree).collect();
        for place in places {
            let view = ValuesView { first: place, second: None };
            let lists = [
                &["topics"][..],
                &["exclude"],
                &["topic_configs", "exclude"],
                &["groups", "include"],
                &["groups", "exclude"],
            ];
            for path in lists {
                let Some(leaf) = view.leaf(path) else { continue };
                let Parsed::Texts(texts) = &leaf.parsed else { continue };
                for text in texts {
                    self.problems.extend(pattern_problem(&leaf.path.join("."), &leaf.origin, text));
                }
            }
        }
    }

    fn telemetry(&mut self) {
        let filter = &self.topology.process.telemetry.log_filter;
        if let Err(error) = filter.parse::<tracing_subscriber::EnvFilter>() {
            let path = ["telemetry", "log", "filter"];
            let origin = self.origin(&path);
            let problem =
                Problem::error("bad_value", path.join("."), &origin, format!("is not a filter: {error}"));
            self.problems.push(
                problem.given(self.shown(&path)).allowed("levels and targets such as info,mirrormesh=debug"),
            );
        }
        let path = ["telemetry", "otlp", "endpoint"];
        let endpoint = self.topology.process.telemetry.otlp.as_ref().map(|otlp| otlp.endpoint.as_str());
        if endpoint.is_some_and(|text| !text.starts_with("http://") && !text.starts_with("https://")) {
            let origin = self.origin(&path);
            let problem = Problem::error("bad_value", path.join("."), &origin, "is not an HTTP address");
            self.problems
                .push(problem.given(self.shown(&path)).allowed("http://host:4318 or https://host:4318"));
        }
    }
}

/// A value as people may see it.
fn shown(leaf: &Leaf) -> String {
    match values::show(&leaf.parsed) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn pattern_problem(key: &str, origin: &Origin, pattern: &str) -> Option<Problem> {
    if let Err(error) = JavaPattern::compile(pattern) {
        let problem = Problem::error(
            "bad_pattern",
            key,
            origin,
            format!("has a pattern that can't be used: {}", error.what),
        );
        let problem = problem.given(pattern).allowed("Java regular expressions");
        let glob = pattern.starts_with('*').then(|| "any text is `.*`, not `*`".to_owned());
        return Some(problem.maybe_hint(error.hint.or(glob)));
    }
    // Topic names have no commas (those of groups may), and outside a {1,3} nothing else needs one.
    let listed = pattern.contains(',') && !pattern.contains('{') && !key.contains("groups.");
    listed.then(|| {
        let message = "has a pattern with a comma, which no topic name has: it matches nothing";
        let parts: Vec<&str> = pattern.split(',').map(str::trim).collect();
        Problem::warning("comma_in_pattern", key, origin, message)
            .given(pattern)
            .hint(format!("write a list: [{}]", parts.join(", ")))
    })
}
