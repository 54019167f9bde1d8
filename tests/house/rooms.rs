//! A room uses only the rooms above it, in tests and documentation too.

use crate::tree::Tree;
use crate::{HOUSE, code, none, refused};

/// The rooms, from the purest down. What a room uses stands before it.
pub const ROOMS: [&str; 17] = [
    "snapshot",
    "model",
    "topology",
    "batch",
    "formats",
    "replicator",
    "offsets",
    "config",
    "telemetry",
    "wire",
    "engine",
    "cluster",
    "store",
    "inspect",
    "mesh",
    "http",
    "cli",
];

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// Paths that lead down, and rooms that have no place in the order.
pub fn order(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, code) in code::read_rooms(tree) {
        let module = code::module_of(path);
        let Some(own) = rank(&module[0]) else {
            offences.push(format!("{path}: room `{}` has no place in the order", module[0]));
            continue;
        };
        for named in code.named.iter().filter(|named| named.path[0] == "crate") {
            let Some(room) = named.path.get(1) else { continue };
            if rank(room).is_some_and(|other| other > own) {
                let (line, to) = (named.line, named.path.join("::"));
                offences
                    .push(format!("{path}:{line}: `{}` may not use `{to}`, which is below it", module[0]));
            }
        }
    }
    offences
}

/// The rooms in the table of ARCHITECTURE.md, in its order: rows that begin with a room between backticks.
fn documented(architecture: &str) -> Vec<&str> {
    let cells = architecture.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let names = cells.flat_map(|cell| cell.split('`').step_by(2));
    names.filter_map(|name| name.strip_suffix('/')).filter(|name| !name.contains('/')).collect()
}

#[test]
fn the_architecture_shows_the_same_order() {
    // The first has no place there: only tests see it.
    assert_eq!(documented(HOUSE.text("ARCHITECTURE.md").expect("it is kept")), ROOMS[1..]);
    let table = "| `model/` | the words |\n| `http/`, `cli/` | the outside |\n| `x` | `mesh/` |\n";
    assert_eq!(documented(table), ["model", "http", "cli"]);
}

#[test]
fn rooms_use_only_those_above_them() {
    none(
        order(&HOUSE),
        "The order of rooms is in tests/house/rooms.rs and in ARCHITECTURE.md. Move what both need up, or turn the \
         call round: hand in a closure, or return what the lower room then acts on.",
    );
}

#[test]
fn a_path_that_leads_down_is_refused() {
    let tree = Tree::of(&[
        ("src/lib.rs", "pub mod cli;"),
        (
            "src/batch/mod.rs",
            "use crate::model::Alias; #[cfg(test)] mod tests { use super::super::wire::Client; }",
        ),
        ("src/cellar/mod.rs", ""),
        ("src/formats/mod.rs", "/// As [`crate::mesh::Mesh`] has it.\npub struct A;"),
        ("src/mesh/mod.rs", "use crate::{model, http::{self, Serving}};"),
        ("src/wire/mod.rs", "fn f() { println!(\"{}\", crate::cli::main()); }"),
    ]);
    refused(
        order(&tree),
        &[
            "src/batch/mod.rs:1: `batch` may not use `crate::wire::Client`",
            "src/cellar/mod.rs: room `cellar` has no place",
            "`formats` may not use `crate::mesh::Mesh`",
            "`mesh` may not use `crate::http::self`",
            "`mesh` may not use `crate::http::Serving`",
            "`wire` may not use `crate::cli::main`",
        ],
    );
}
