//! The rules of the house, kept by a program: what may use what, how long a file may be, what a test must name.
//!
//! Each rule is a function over a tree of files that returns what offends it, one sentence an offence. It is applied to
//! this repository, and beside that to a small made-up tree that breaks it: a rule that can't fail keeps nothing.

mod circles;
mod code;
mod crates;
mod invariants;
mod links;
mod logs;
mod packages;
mod rooms;
mod sizes;
mod tree;
mod variants;

use std::sync::LazyLock;

use tree::Tree;

/// This repository, read once.
static HOUSE: LazyLock<Tree> = LazyLock::new(Tree::read);

/// Fails with all offences and what to do about them.
#[track_caller]
fn none(offences: Vec<String>, advice: &str) {
    assert!(offences.is_empty(), "{}\n\n{advice}\n", offences.join("\n"));
}

/// Shows that a rule refuses what it should: each of `expected` is part of an offence, in the same order.
#[track_caller]
fn refused(offences: Vec<String>, expected: &[&str]) {
    assert_eq!(offences.len(), expected.len(), "{offences:#?}");
    for (offence, expected) in offences.iter().zip(expected) {
        assert!(offence.contains(expected), "{offence:?} does not say {expected:?}");
    }
}
