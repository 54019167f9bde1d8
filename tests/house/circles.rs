//! Folders of a room form no circle: one of them can be read, and moved, without the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;
use crate::{HOUSE, code, none, refused};

/// Rooms whose folders are looked at.
const ROOMS: [&str; 1] = ["mesh"];

/// What uses what in a room, each with a place that shows it. A folder is one node, a file beside the folders too.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

fn uses(tree: &Tree, room: &str) -> Uses {
    let files: Vec<_> = code::read_rooms(tree).into_iter().filter(|(path, _)| in_room(path, room)).collect();
    let nodes: BTreeSet<String> =
        files.iter().filter_map(|(path, _)| code::module_of(path).get(1).cloned()).collect();
    // What the room itself hands out lives in one of its folders: `pub use flow::Context` makes `mesh::Context` flow's.
    let mut handed_out: BTreeMap<String, String> = BTreeMap::new();
    for (_, code) in files.iter().filter(|(path, _)| code::module_of(path).len() == 1) {
        for named in &code.named {
            let path =
                named.path.strip_prefix(&["crate".to_owned(), room.to_owned()][..]).unwrap_or(&named.path);
            if let ([node, .., name], true) = (path, nodes.contains(&path[0])) {
                handed_out.insert(name.clone(), node.clone());
            }
        }
    }
    let mut uses = Uses::new();
    for (path, code) in &files {
        let module = code::module_of(path);
        let Some(own) = module.get(1) else { continue };
        for named in code
            .named
            .iter()
            .filter(|named| named.path.len() > 2 && named.path[0] == "crate" && named.path[1] == room)
        {
            let part = &named.path[2];
            let other = if nodes.contains(part) { Some(part) } else { handed_out.get(part) };
            if let Some(other) = other.filter(|other| *other != own) {
                let place = || format!("{path}:{} uses {}", named.line, named.path.join("::"));
                uses.entry(own.clone()).or_default().entry(other.clone()).or_insert_with(place);
            }
        }
    }
    uses
}

fn in_room(path: &str, room: &str) -> bool {
    path.strip_prefix("src/")
        .and_then(|path| path.strip_prefix(room))
        .is_some_and(|path| path.starts_with('/'))
}

/// Every circle, once, with the places that close it.
fn circles(tree: &Tree, room: &str) -> Vec<String> {
    let uses = uses(tree, room);
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        uses.keys().map(|node| (node, reach(&uses, node))).collect();
    let mut offences = Vec::new();
    let mut told: BTreeSet<&String> = BTreeSet::new();
    for node in uses.keys().filter(|node| reached[*node].contains(node)) {
        if told.contains(node) {
            continue;
        }
        let circle: Vec<&String> = reached[node]
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(node)))
            .collect();
        let names = circle.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(", ");
        let mut text = format!("{room}: {names} use each other in a circle");
        for (from, to, place) in inner(&uses, &circle) {
            text.push_str(&format!("\n    {from} → {to}: {place}"));
        }
        told.extend(circle);
        offences.push(text);
    }
    offences
}

fn reach<'a>(uses: &'a Uses, from: &String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = uses.get(from).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(uses.get(node).into_iter().flat_map(BTreeMap::keys));
        }
    }
    found
}

fn inner<'a>(uses: &'a Uses, circle: &'a [&String]) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    circle.iter().flat_map(move |from| {
        let to = uses.get(*from).into_iter().flatten().filter(move |(to, _)| circle.contains(to));
        to.map(move |(to, place)| (from.as_str(), to.as_str(), place.as_str()))
    })
}

#[test]
fn folders_form_no_circle() {
    none(
        ROOMS.iter().flat_map(|room| circles(&HOUSE, room)).collect(),
        "Protocols and contexts go below the actors that speak them, into `shared/`.",
    );
}

#[test]
fn a_circle_is_refused() {
    let tree = Tree::of(&[
        (
            "src/mesh/mod.rs",
            "mod flow; mod groups; mod shared; pub use flow::Context; pub use shared::Board;",
        ),
        ("src/mesh/flow/mod.rs", "use crate::mesh::groups::start; use super::shared::Board;"),
        ("src/mesh/groups/mod.rs", "use crate::mesh::Board; mod work;"),
        ("src/mesh/groups/work.rs", "fn f(context: &crate::mesh::Context) {}"),
        ("src/mesh/shared/mod.rs", "use crate::model::Alias;"),
    ]);
    refused(circles(&tree, "mesh"), &["mesh: flow, groups use each other in a circle"]);
    let text = &circles(&tree, "mesh")[0];
    assert!(text.contains("groups → flow: src/mesh/groups/work.rs:1 uses crate::mesh::Context"), "{text}");
}
