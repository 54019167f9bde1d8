//! From files, environment and flags to a sound, typed [`crate::topology::Topology`].

mod build;
pub mod client;
mod keys;
mod layers;
mod lines;
mod problem;
mod rules;
mod schema;
mod secrets;
mod show;
mod tree;
mod units;
mod values;

use std::collections::BTreeMap;

use crate::model::Alias;
use crate::topology::Topology;
use crate::topology::routes::{Routes, routes};

pub use client::ClientSettings;
pub use layers::Sources;
pub(crate) use problem::did_you_mean;
pub use problem::{Origin, Problem, ProblemSeverity, Problems};
pub use schema::json_schema;
pub use secrets::HIDDEN;
pub use show::EffectiveValue;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The mesh.
    pub topology: Topology,
    /// How to talk to each cluster.
    pub clients: BTreeMap<Alias, ClientSettings>,
    /// What is likely not meant, though it works.
    pub warnings: Vec<Problem>,
    /// Every value in effect with its origin, secrets hidden.
    pub effective: Vec<EffectiveValue>,
    /// The ways that example topics take through the mesh.
    pub routes: Routes,
}

/// Reads, merges and checks a configuration.
///
/// Fails with everything that is wrong with it, not only the first mistake; `unusable` tells input that could not
/// even be read.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let env = if sources.env { layers::environment() } else { Vec::new() };
    load_with(sources, &env)
}

/// [`load`] with these environment variables.
pub(crate) fn load_with(sources: &Sources, env: &[(String, String)]) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let layers = layers::Layers::read(sources, env, &mut problems)?;
    let tree = tree::read(&layers, &sources.file, &mut problems);
    let topology = build::topology(&tree);
    let sound = rules::check(&layers, &tree, &topology, &mut problems);
    let routes = routes(&sound);
    rules::check_ways(&layers, &sound, &routes, &mut problems);
    let clients = clients(sources, &tree, &topology, &mut problems);
    // In the order of the file, as one mends it.
    problems.sort_by_key(|problem| problem.origin.line());
    if problems.iter().any(|problem| problem.severity == ProblemSeverity::Error) {
        return Err(Problems { unusable: false, list: problems });
    }
    Ok(Loaded { topology, clients, warnings: problems, effective: show::entries(&tree), routes })
}

fn clients(
    sources: &Sources,
    tree: &tree::Tree,
    topology: &Topology,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Alias, ClientSettings> {
    let base = sources.file.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    let named = build::named(tree, "clusters");
    let read = named.map(|(name, cluster)| {
        let bootstrap = topology.clusters.get(name).map_or(&[][..], |spec| &spec.bootstrap);
        (Alias::from(name), client::read::read(name, bootstrap, cluster, &base, problems))
    });
    read.collect()
}

#[cfg(test)]
mod tests;
