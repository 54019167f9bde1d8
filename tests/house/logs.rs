//! A log line's target is its room's: filters of users must not break when a file moves.

use crate::tree::Tree;
use crate::{HOUSE, none, refused};

const MACROS: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// Targets that are no room's: of events, and of what librdkafka says.
const OTHERS: [&str; 2] = ["TARGET", "\"librdkafka\""];

fn without_target(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in tree.rooms() {
        let room = path.split('/').nth(1).unwrap_or_default();
        let of_tests = path.ends_with("tests.rs") || path.ends_with("testing.rs") || path.contains("/tests/");
        if of_tests {
            continue;
        }
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (at, name) in MACROS.iter().flat_map(|name| production.match_indices(name)) {
            let before = production[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let rest = production[at + name.len()..].trim_start();
            let given = rest.strip_prefix("target: ").and_then(|rest| rest.split(',').next());
            let is_known =
                given.is_some_and(|given| given == format!("crate::{room}::LOG") || OTHERS.contains(&given));
            if !is_known {
                let line = production[..at].lines().count();
                offences.push(format!("{path}:{line}: {name}…) has not the target crate::{room}::LOG"));
            }
        }
        for (at, _) in production.match_indices("instrument(") {
            if !production[at..].starts_with(&format!("instrument(target = \"mirrormesh::{room}\"")) {
                let line = production[..at].lines().count();
                offences.push(format!("{path}:{line}: a span has not the target mirrormesh::{room}"));
            }
        }
    }
    offences
}

#[test]
fn log_lines_have_the_target_of_their_room() {
    none(without_target(&HOUSE), "Begin the line with `target: crate::<room>::LOG`.");
}

#[test]
fn a_log_line_of_another_target_is_refused() {
    let tree = Tree::of(&[
        ("src/wire/a.rs", "fn f() { info!(target: crate::wire::LOG, \"well\"); }"),
        ("src/wire/b.rs", "fn f() {\n    warn!(\n        \"no target\");\n}"),
        ("src/mesh/c.rs", "fn f() { tracing::debug!(target: crate::wire::LOG, \"another room's\"); }"),
        ("src/mesh/d.rs", "#[tracing::instrument(skip_all)] fn f() {}"),
        ("src/mesh/tests.rs", "fn f() { info!(\"a test\"); }"),
    ]);
    let refused_ones = ["src/mesh/c.rs:1", "src/mesh/d.rs:1: a span", "src/wire/b.rs:2"];
    refused(without_target(&tree), &refused_ones);
}
