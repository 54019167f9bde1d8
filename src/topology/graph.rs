//! The mesh as a picture: text, Graphviz, Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::model::{Alias, PathText};

use super::routes::{Route, Routes};
use super::{FlowSpec, PolicyKind, Topology};

/// The mesh for a terminal: clusters, flows, and what each cluster gets from where.
pub fn text(topology: &Topology, routes: &Routes) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("mesh {}", topology.mesh));
    line(String::new());
    line("clusters".to_owned());
    let width = topology.clusters.keys().map(|alias| alias.as_str().len()).max().unwrap_or(0);
    for cluster in topology.clusters.values() {
        let region = cluster.region.as_ref().map(|region| format!("  ({region})")).unwrap_or_default();
        line(format!("  {:<width$}  {}{region}", cluster.alias.as_str(), cluster.bootstrap.join(",")));
    }
    line(String::new());
    line("flows".to_owned());
    let width = topology.flows.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
    for flow in topology.flows.values() {
        line(format!("  {:<width$}  {} → {}  {}", flow.name.as_str(), flow.from, flow.to, label(flow)));
    }
    for (alias, arriving) in arrivals(routes) {
        line(String::new());
        line(format!("on {alias}"));
        let width = arriving.iter().map(|route| route.name.as_str().len()).max().unwrap_or(0);
        for route in arriving {
            let back = if route.comes_back() { "  (comes back)" } else { "" };
            line(format!("  {:<width$}  {}{back}", route.name.as_str(), PathText(&route.path)));
        }
    }
    if routes.cut_short {
        line(String::new());
        line("there are more ways than could be followed; not all are shown".to_owned());
    }
    out
}

/// The mesh for Graphviz.
pub fn dot(topology: &Topology, routes: &Routes) -> String {
    let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&topology.mesh));
    let arrivals = arrivals(routes);
    for cluster in topology.clusters.values() {
        let mut label = cluster.alias.to_string();
        if let Some(region) = &cluster.region {
            label.push_str(&format!("\n({region})"));
        }
        for name in names_on(&arrivals, &cluster.alias) {
            label.push('\n');
            label.push_str(&name);
        }
        push(&mut out, format_args!("  {} [label={}];\n", quoted(cluster.alias.as_str()), quoted(&label)));
    }
    for flow in topology.flows.values() {
        let (from, to) = (quoted(flow.from.as_str()), quoted(flow.to.as_str()));
        let text = quoted(&format!("{}\n{}", flow.name, label(flow)));
        push(&mut out, format_args!("  {from} -> {to} [label={text}];\n"));
    }
    out.push_str("}\n");
    out
}

/// The mesh for Mermaid, as Markdown renders it.
pub fn mermaid(topology: &Topology, routes: &Routes) -> String {
    let mut out = String::from("flowchart LR\n");
    let arrivals = arrivals(routes);
    // Aliases may hold characters that Mermaid doesn't take in ids.
    let ids: BTreeMap<&Alias, String> =
        topology.clusters.keys().enumerate().map(|(index, alias)| (alias, format!("c{index}"))).collect();
    for cluster in topology.clusters.values() {
        let mut label = cluster.alias.to_string();
        if let Some(region) = &cluster.region {
            label.push_str(&format!("<br/>({region})"));
        }
        for name in names_on(&arrivals, &cluster.alias) {
            label.push_str("<br/>");
            label.push_str(&name);
        }
        push(&mut out, format_args!("  {}[\"{}\"]\n", ids[&cluster.alias], escaped(&label)));
    }
    for flow in topology.flows.values() {
        if let (Some(from), Some(to)) = (ids.get(&flow.from), ids.get(&flow.to)) {
            let text = escaped(&format!("{}<br/>{}", flow.name, label(flow)));
            push(&mut out, format_args!("  {from} -->|\"{text}\"| {to}\n"));
        }
    }
    out
}

/// What a flow takes and what it does with names, in a few words.
fn label(flow: &FlowSpec) -> String {
    let policy = match flow.naming.policy {
        PolicyKind::Prefix => "prefix",
        PolicyKind::Identity => "identity",
    };
    format!("{policy}, topics {}", flow.topics.join(" "))
}

/// Ways by the cluster where they end, clusters and names in order.
fn arrivals(routes: &Routes) -> BTreeMap<&Alias, Vec<&Route>> {
    let mut arrivals: BTreeMap<&Alias, Vec<&Route>> = BTreeMap::new();
    for route in &routes.list {
        arrivals.entry(route.target()).or_default().push(route);
    }
    for list in arrivals.values_mut() {
        list.sort_by(|a, b| (&a.path, &a.name).cmp(&(&b.path, &b.name)));
    }
    arrivals
}

fn names_on(arrivals: &BTreeMap<&Alias, Vec<&Route>>, alias: &Alias) -> BTreeSet<String> {
    let here = arrivals.get(alias).into_iter().flatten();
    here.map(|route| route.name.to_string()).collect()
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string can't fail");
}

/// A text as Graphviz quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n"))
}

/// A text inside Mermaid's quotes.
fn escaped(text: &str) -> String {
    text.replace('"', "#quot;")
}
