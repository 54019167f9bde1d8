//! One file, one subject: 500 lines at the very most.

use crate::tree::Tree;
use crate::{HOUSE, none, refused};

const MOST_LINES: usize = 500;

fn too_long(tree: &Tree) -> Vec<String> {
    let long = tree.texts(".rs").map(|(path, text)| (path, text.lines().count()));
    long.filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, {MOST_LINES} is the most"))
        .collect()
}

#[test]
fn no_file_is_too_long() {
    none(too_long(&HOUSE), "Give each subject a file of its own; tests of a file move to `name/tests.rs`.");
}

#[test]
fn a_long_file_is_refused() {
    let text = |lines| "\n".repeat(lines);
    let tree = Tree::of(&[("src/a.rs", &text(MOST_LINES)), ("tests/b.rs", &text(MOST_LINES + 1))]);
    refused(too_long(&tree), &["tests/b.rs: 501 lines"]);
}
