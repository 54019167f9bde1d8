//! The example topologies: sound, and what their comments say is so.

use mirrormesh::config::{Loaded, Sources, load};
use mirrormesh::model::PathText;
use mirrormesh::topology::GroupSelector;

use super::run;

fn loaded(name: &str) -> Loaded {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies").join(format!("{name}.yaml"));
    let loaded =
        load(&Sources { file, env: false, set: vec![] }).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, [], "{name}");
    assert_eq!(loaded.topology.mesh, name);
    let ran = run(&["check", "--offline", &format!("topologies/{name}.yaml")]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    loaded
}

/// Every way of a mesh, as `name by path`, sorted.
fn ways(loaded: &Loaded) -> Vec<String> {
    assert!(!loaded.routes.cut_short);
    let show = |route: &mirrormesh::topology::routes::Route| {
        assert!(!route.comes_back());
        format!("{} by {}", route.name, PathText(&route.path))
    };
    let mut ways: Vec<String> = loaded.routes.list.iter().map(show).collect();
    ways.sort();
    ways
}

#[test]
fn each_file_has_its_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "active-active",
            "active-passive",
            "chain",
            "failover",
            "fan-out",
            "full-mesh",
            "hub-and-spoke",
            "migration"
        ]
    );
}

#[test]
fn active_passive() {
    assert_eq!(ways(&loaded("active-passive")), ["primary.orders by primary → standby"]);
}

#[test]
fn active_active() {
    assert_eq!(ways(&loaded("active-active")), ["east.orders by east → west", "west.orders by west → east"]);
}

#[test]
fn hub_and_spoke() {
    let expected = ["berlin", "madrid", "oslo"]
        .iter()
        .flat_map(|city| ["orders", "payments"].map(|topic| format!("{city}.{topic} by {city} → hub")));
    assert_eq!(ways(&loaded("hub-and-spoke")), expected.collect::<Vec<_>>());
}

#[test]
fn fan_out() {
    let loaded = loaded("fan-out");
    for city in ["paris", "tokyo", "sydney"] {
        let wanted = format!("central.prices by central → {city}");
        assert!(ways(&loaded).contains(&wanted), "{wanted}");
    }
    assert!(loaded.routes.list.iter().all(|route| route.path.len() == 2));
}

#[test]
fn chain() {
    assert_eq!(
        ways(&loaded("chain")),
        [
            "region.store-1.sales by store-1 → region → archive",
            "region.store-2.sales by store-2 → region → archive",
            "store-1.sales by store-1 → region",
            "store-2.sales by store-2 → region",
        ]
    );
}

#[test]
fn failover() {
    let loaded = loaded("failover");
    let both = ["orders", "payments"].map(|topic| format!("east.{topic} by east → west"));
    assert!(both.iter().all(|way| ways(&loaded).contains(way)), "{:?}", ways(&loaded));
    for flow in loaded.topology.flows.values() {
        let back = loaded.topology.flows.values().any(|other| other.from == flow.to && other.to == flow.from);
        assert!(back && flow.groups.sync, "{}", flow.name);
        let groups = GroupSelector::new(&flow.groups).unwrap();
        for (group, follows) in
            [("billing", true), ("shipping-eu", true), ("audit", false), ("console-consumer-7", false)]
        {
            assert_eq!(groups.takes(group).unwrap(), follows, "{group}");
        }
    }
}

#[test]
fn full_mesh() {
    let aliases = ["ap", "eu", "us"];
    let expected: Vec<String> = aliases
        .iter()
        .flat_map(|from| {
            aliases
                .iter()
                .filter(move |to| to != &from)
                .map(move |to| format!("{from}.orders by {from} → {to}"))
        })
        .collect();
    assert_eq!(ways(&loaded("full-mesh")), expected);
}

#[test]
fn full_mesh_needs_its_exclude() {
    let ran = run(&["check", "--offline", "topologies/full-mesh.yaml", "--set", "defaults.exclude=[none]"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("us → eu and us → ap → eu"), "{}", ran.stdout);
}

#[test]
fn migration() {
    assert_eq!(ways(&loaded("migration")), ["orders by old → new"]);
}
