//! One file, one subject: 500 lines at the very most. And a page of architecture that is read in ten minutes.

use crate::tree::Tree;
use crate::{HOUSE, none, refused};

const MOST_LINES: usize = 500;

/// Words of ARCHITECTURE.md; what goes deeper is a page of its own in `docs/`.
const MOST_WORDS: usize = 1_200;

fn too_long(tree: &Tree) -> Vec<String> {
    let long = tree.texts(".rs").map(|(path, text)| (path, text.lines().count()));
    long.filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, {MOST_LINES} is the most"))
        .collect()
}

fn too_wordy(tree: &Tree) -> Vec<String> {
    let words = tree.text("ARCHITECTURE.md").map_or(0, |text| text.split_whitespace().count());
    let over = words > MOST_WORDS;
    over.then(|| format!("ARCHITECTURE.md: {words} words, {MOST_WORDS} is the most")).into_iter().collect()
}

#[test]
fn the_architecture_is_read_in_ten_minutes() {
    none(too_wordy(&HOUSE), "Move what goes deeper into a page in `docs/`, and link it.");
}

#[test]
fn a_long_architecture_is_refused() {
    let tree = |words| Tree::of(&[("ARCHITECTURE.md", &"word ".repeat(words))]);
    refused(too_wordy(&tree(MOST_WORDS)), &[]);
    refused(too_wordy(&tree(MOST_WORDS + 1)), &["1201 words"]);
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
