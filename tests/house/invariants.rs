//! What must never break is numbered in ARCHITECTURE.md, and each number is named by a test that shows it.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;
use crate::{HOUSE, code, none, refused};

/// The numbers in the table of invariants: rows that begin with `| R4 |`.
fn listed(architecture: &str) -> BTreeSet<u32> {
    let row = |line: &str| line.strip_prefix("| R")?.split_once(" |")?.0.parse().ok();
    architecture.lines().filter_map(row).collect()
}

/// The numbers in a text: `R1, R3`, `R1 to R3`, or `r10_` in the name of a function.
fn numbers(text: &str) -> BTreeSet<u32> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let number = |word: &str| word.strip_prefix(['R', 'r']).and_then(|digits| digits.parse::<u32>().ok());
    let mut found: BTreeSet<u32> = words.iter().filter_map(|word| number(word)).collect();
    for three in words.windows(3) {
        if let (Some(first), "to", Some(last)) = (number(three[0]), three[1], number(three[2])) {
            found.extend(first..=last);
        }
    }
    found
}

/// Gaps in the list, invariants without a test, and tests that name what is not listed.
fn unkept(tree: &Tree) -> Vec<String> {
    let listed = listed(tree.text("ARCHITECTURE.md").unwrap_or_default());
    let mut named: BTreeMap<u32, String> = BTreeMap::new();
    for (path, text) in tree.texts(".rs") {
        for test in code::read(path, text).tests {
            for number in numbers(&test.doc).into_iter().chain(numbers(&test.name)) {
                named.entry(number).or_insert_with(|| format!("{path}:{} ({})", test.line, test.name));
            }
        }
    }
    let last = listed.last().copied().unwrap_or_default();
    let gaps = (1..=last).filter(|number| !listed.contains(number));
    let gaps = gaps.map(|number| format!("ARCHITECTURE.md: R{number} is missing in the table of invariants"));
    let untested = listed.iter().filter(|number| !named.contains_key(number));
    let untested = untested.map(|number| format!("R{number} is named by no test"));
    let unknown = named.iter().filter(|(number, _)| !listed.contains(number));
    let unknown = unknown.map(|(number, place)| format!("{place}: R{number} is not in ARCHITECTURE.md"));
    let none = listed.is_empty().then(|| "ARCHITECTURE.md has no table of invariants".to_owned());
    none.into_iter().chain(gaps).chain(untested).chain(unknown).collect()
}

#[test]
fn every_invariant_is_named_by_a_test() {
    none(
        unkept(&HOUSE),
        "A test names an invariant in the documentation before its `#[test]`, as in `/// R4: a saved position …`.",
    );
}

#[test]
fn an_invariant_without_a_test_is_refused() {
    let table = "| | |\n|---|---|\n| R1 | a |\n| R2 | b |\n| R4 | c |\n| R5 | d |\n";
    let tests = "/// R1 to R2: x\n#[test]\nfn a() {}\n#[test]\nfn r7_b() {}\n/// R5: no test\nfn c() {}";
    let tree = Tree::of(&[("ARCHITECTURE.md", table), ("tests/x.rs", tests)]);
    refused(
        unkept(&tree),
        &["R3 is missing", "R4 is named by no test", "R5 is named by no test", "(r7_b): R7 is not in"],
    );
    refused(unkept(&Tree::of(&[])), &["no table"]);
}
