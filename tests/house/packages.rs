//! What others wrote: each crate once if possible, under a licence that goes with ours, from the common registry.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::{HOUSE, none, refused};

/// Crates that are in the build more than once, because others depend on different releases of them. The list may only
/// shrink: a release that ends a duplicate is taken, one that brings a new one is not.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "0.22.1 0.23.1"),
    ("bit-set", "0.8.0 0.11.1"),
    ("bit-vec", "0.8.0 0.9.1 0.10.1"),
    ("cpufeatures", "0.2.17 0.3.1"),
    ("getrandom", "0.2.17 0.3.4 0.4.3"),
    ("hashbrown", "0.14.5 0.17.1"),
    ("itertools", "0.13.0 0.14.0"),
    ("lz4_flex", "0.11.6 0.14.0"),
    ("r-efi", "5.3.0 6.0.0"),
    ("rand", "0.8.8 0.9.5 0.10.3"),
    ("rand_chacha", "0.3.1 0.9.0"),
    ("rand_core", "0.6.4 0.9.5 0.10.1"),
    ("socket2", "0.5.10 0.6.5"),
    ("syn", "2.0.119 3.0.9"),
    ("synstructure", "0.13.2 0.14.0"),
    ("thiserror", "1.0.69 2.0.21"),
    ("thiserror-impl", "1.0.69 2.0.21"),
    ("windows-sys", "0.52.0 0.61.2"),
];

/// Licences that ask no more than ours does. `deny.toml` has the same list.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Crates of a lock file that are there more than once, with their versions.
fn duplicates(lock: &str) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ") {
            versions.entry(name).or_default().push(value.trim_matches('"'));
        }
    }
    versions.retain(|name, versions| !name.is_empty() && versions.len() > 1);
    versions.into_iter().map(|(name, versions)| (name.to_owned(), versions.join(" "))).collect()
}

/// Where the lock file and the list differ. Other releases of the same number of duplicates are no difference.
fn duplicate_offences(lock: &str, list: &[(&str, &str)]) -> Vec<String> {
    let found = duplicates(lock);
    let count = |versions: &str| versions.split(' ').count();
    let mut offences = Vec::new();
    for (name, versions) in &found {
        let known = list.iter().find(|(known, _)| known == name).map_or(1, |(_, versions)| count(versions));
        if count(versions) > known {
            offences.push(format!(
                "{name} is in the build {} times ({versions}), {known} is the most",
                count(versions)
            ));
        }
    }
    for (name, versions) in list {
        let now = found.get(*name).map_or(1, |versions| count(versions));
        if now < count(versions) {
            offences.push(format!("{name} ({versions}) is there {now} times only: shorten the list"));
        }
    }
    offences
}

/// Whether an expression of licences can be met by [`LICENCES`].
///
/// `OR` and its old spelling `/` bind weaker than `AND`; `WITH` makes another licence of the one before it.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let allowed = any_of(&words, &mut at);
    allowed && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all_of(words, at);
    }
    allowed
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let allowed = any_of(words, at);
        *at += 1;
        return allowed;
    }
    let plain = words.get(*at) != Some(&"WITH");
    if !plain {
        *at += 2;
    }
    plain && LICENCES.contains(word)
}

/// Packages with another licence, or from elsewhere.
fn package_offences(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut offences = Vec::new();
    // What has no source is this repository.
    for package in packages.iter().filter(|package| package["name"] != env!("CARGO_PKG_NAME")) {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = format!("{} {}", text("name"), text("version"));
        if !is_allowed(text("license")) {
            offences.push(format!("{name}: licence `{}` is not among those allowed", text("license")));
        }
        // The index of the common registry, whichever way it is read.
        let source = text("source");
        if !source.starts_with("registry+") || !source.ends_with("/crates.io-index") {
            offences.push(format!("{name}: comes from `{source}`, not from the common registry"));
        }
    }
    offences
}

/// What cargo knows of all packages that are built on this machine. It asks nobody: they are there, or this is not run.
fn metadata() -> Value {
    let cargo = |arguments: &[&str]| {
        let command =
            Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let output = command.expect("cargo runs: it runs this test");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cargo {}: {errors}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("cargo writes UTF-8")
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let json = cargo(&["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", host]);
    serde_json::from_str(&json).expect("cargo writes JSON")
}

#[test]
fn duplicate_crates_only_become_fewer() {
    none(
        duplicate_offences(HOUSE.text("Cargo.lock").expect("it is kept"), DUPLICATES),
        "The list is in tests/house/packages.rs; `cargo tree -i NAME@VERSION` shows who brings a crate.",
    );
}

#[test]
fn licences_and_sources_are_known_ones() {
    let metadata = metadata();
    assert!(metadata["packages"].as_array().is_some_and(|packages| packages.len() > 100));
    none(package_offences(&metadata), "Licences are listed in tests/house/packages.rs and in deny.toml.");
}

/// The texts of a list in a TOML file: what stands between quotes from `key = [` to the closing bracket.
fn toml_list<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let list = text.split_once(&format!("\n{key} = [")).and_then(|(_, rest)| rest.split_once(']'));
    list.map_or_else(Vec::new, |(list, _)| list.split('"').skip(1).step_by(2).collect())
}

#[test]
fn the_file_for_cargo_deny_has_the_same_lists() {
    let file = HOUSE.text("deny.toml").expect("it is kept");
    assert_eq!(toml_list(file, "allow"), LICENCES);
    assert_eq!(toml_list(file, "skip"), DUPLICATES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn a_new_duplicate_and_one_that_went_are_refused() {
    let package =
        |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
    let lock = ["1.0", "2.0"].map(|version| package("a", version)).concat()
        + &["1.0", "2.0", "3.0"].map(|version| package("b", version)).concat()
        + &["1.1", "2.1"].map(|version| package("c", version)).concat()
        + &package("d", "1.0");
    let list = [("b", "1.0 2.0"), ("c", "1.0 2.0"), ("d", "1.0 2.0")];
    refused(
        duplicate_offences(&lock, &list),
        &[
            "a is in the build 2 times (1.0 2.0)",
            "b is in the build 3 times",
            "d (1.0 2.0) is there 1 times only",
        ],
    );
}

#[test]
fn another_licence_or_source_is_refused() {
    for fine in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(is_allowed(fine), "{fine}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(GPL-2.0 OR LGPL-2.1) AND MIT",
        "Apache-2.0 WITH LLVM-exception",
        "MIT )",
        "MIT ISC",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
    let package = |name: &str, license: &str, source: &str| serde_json::json!({ "name": name, "version": "1.0.0", "license": license, "source": source });
    let registry = "registry+https://example.org/crates.io-index";
    let packages = [
        package("a", "MIT", registry),
        package("b", "AGPL-3.0", registry),
        package("c", "MIT", "git+https://example.org/c"),
        serde_json::json!({ "name": "d", "version": "1.0.0", "license": null, "source": null }),
    ];
    refused(
        package_offences(&serde_json::json!({ "packages": packages })),
        &[
            "b 1.0.0: licence `AGPL-3.0`",
            "c 1.0.0: comes from `git+",
            "d 1.0.0: licence ``",
            "d 1.0.0: comes from ``",
        ],
    );
}
