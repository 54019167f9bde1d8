//! Topologies as tests write them.

use super::{Cluster, Listener};

/// A topology over these clusters; `flows` is YAML, indented by two spaces.
pub fn topology(clusters: &[&Cluster], flows: &str) -> String {
    topology_at(clusters, Listener::Internal, flows)
}

/// [`topology`], with the clusters reached at this listener.
pub fn topology_at(clusters: &[&Cluster], listener: Listener, flows: &str) -> String {
    let named: Vec<_> = clusters.iter().map(|cluster| (cluster.name(), *cluster)).collect();
    topology_as(&named, listener, flows)
}

/// [`topology_at`], with the aliases given: so two mirrors of one source have remote topics of their own.
pub fn topology_as(clusters: &[(&str, &Cluster)], listener: Listener, flows: &str) -> String {
    let mut yaml = "mesh: test\nclusters:\n".to_owned();
    for (alias, cluster) in clusters {
        yaml += &format!("  {alias}:\n    bootstrap: [\"{}\"]\n", cluster.bootstrap_at(listener));
    }
    yaml + "flows:\n" + flows
}

/// One flow; `more` is further keys, as `key: value` lines.
pub fn flow(name: &str, from: &str, to: &str, topics: &[&str], more: &[&str]) -> String {
    let mut yaml = format!("  {name}:\n    from: {from}\n    to: {to}\n    topics:\n");
    for topic in topics {
        yaml += &format!("      - '{topic}'\n");
    }
    for line in more {
        yaml += &format!("    {line}\n");
    }
    yaml
}
