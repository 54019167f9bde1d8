//! The mesh itself: a topology, loaded and started as `mirrormesh run` does it.

use std::error::Error;
use std::io::Write;

use mirrormesh::config::{self, Sources};
use mirrormesh::mesh::{Mesh, MeshHandle};
use mirrormesh::store::ProcessIdentity;
use mirrormesh::telemetry::Telemetry;

use super::clusters::{ORDERS, SampleCluster};

/// Starts a mesh that mirrors the orders of each cluster to the other.
pub async fn start(east: &SampleCluster, west: &SampleCluster) -> Result<MeshHandle, Box<dyn Error>> {
    let topology = topology(east, west);
    println!("The topology, as a file for `mirrormesh run`:\n\n{topology}");
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    file.write_all(topology.as_bytes())?;
    let sources = Sources { file: file.path().to_owned(), env: false, set: Vec::new() };
    let loaded = config::load(&sources).map_err(|problems| format!("{problems}"))?;
    Ok(Mesh::start(&loaded, ProcessIdentity::fresh(), Telemetry::quiet()).await?)
}

fn topology(east: &SampleCluster, west: &SampleCluster) -> String {
    let mut text = String::from("mesh: quickstart\nclusters:\n");
    for cluster in [east, west] {
        text += &format!("  {}:\n    bootstrap: [\"{}\"]\n", cluster.name(), cluster.bootstrap());
    }
    text += "flows:\n";
    for (from, to) in [(east, west), (west, east)] {
        let (from, to) = (from.name(), to.name());
        text += &format!("  {from}-to-{to}:\n    from: {from}\n    to: {to}\n    topics: [\"{ORDERS}\"]\n");
    }
    text
}
