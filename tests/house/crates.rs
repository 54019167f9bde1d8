//! Which crates a room may use: what a room has to do with is seen from what it imports.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;
use crate::{HOUSE, code, none, refused};

/// A room, or a folder in one, with the crates that it may use and those that only its tests may use.
/// Of several that fit a file the longest counts.
struct Allowed {
    folder: &'static str,
    crates: &'static [&'static str],
    tests: &'static [&'static str],
}

const fn allow(
    folder: &'static str,
    crates: &'static [&'static str],
    tests: &'static [&'static str],
) -> Allowed {
    Allowed { folder, crates, tests }
}

/// What every test may use: it makes up data, or reads it.
const IN_TESTS: [&str; 5] = ["fancy_regex", "proptest", "rcgen", "serde_json", "tempfile"];

/// Which crates are used where. A crate that is not named may be used nowhere.
const ALLOWED: &[Allowed] = &[
    // Tests only: see src/lib.rs.
    allow("snapshot.rs", &[], &["serde"]),
    // The pure rooms: no runtime, no actor, no client, no log.
    allow("model/", &["serde", "uuid"], &[]),
    allow("topology/", &["fancy_regex", "serde", "thiserror"], &["serde_yaml"]),
    allow(
        "batch/",
        &["bytes", "crc32c", "flate2", "lz4_flex", "snap", "thiserror", "xxhash_rust", "zstd"],
        &[],
    ),
    allow("formats/", &["bytes", "serde", "serde_json", "thiserror"], &["uuid"]),
    allow("replicator/", &["xxhash_rust"], &["uuid"]),
    allow("offsets/", &["bytes", "serde", "uuid"], &[]),
    allow(
        "config/",
        &[
            "figment",
            "humantime",
            "rustls_pki_types",
            "secrecy",
            "serde",
            "serde_json",
            "serde_yaml",
            "strsim",
            "thiserror",
            "tracing_subscriber",
        ],
        &[],
    ),
    // From here on there is a world outside.
    allow(
        "telemetry/",
        &[
            "opentelemetry",
            "opentelemetry_otlp",
            "opentelemetry_prometheus",
            "opentelemetry_sdk",
            "parking_lot",
            "prometheus",
            "serde",
            "thiserror",
            "tokio",
            "tracing",
            "tracing_opentelemetry",
            "tracing_subscriber",
        ],
        &["serde_yaml"],
    ),
    allow(
        "wire/",
        &[
            "bytes",
            "futures",
            "kafka_protocol",
            "parking_lot",
            "rand",
            "rsasl",
            "rustls_pki_types",
            "secrecy",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tracing",
            "webpki_roots",
        ],
        &[],
    ),
    // The seam knows neither of its clients.
    allow("engine/", &["futures", "parking_lot", "thiserror", "tokio"], &[]),
    allow(
        "engine/passthrough/",
        &["bytes", "futures", "kafka_protocol", "parking_lot", "rand", "tokio", "tracing"],
        &["crc32c", "flate2"],
    ),
    allow("engine/records/", &["futures", "parking_lot", "rdkafka", "secrecy", "tokio", "tracing"], &[]),
    allow("cluster/", &["futures", "parking_lot", "tokio", "tracing"], &["kafka_protocol"]),
    allow("store/", &["bytes", "parking_lot", "thiserror", "tokio", "tracing", "uuid"], &[]),
    allow("inspect/", &["futures", "thiserror", "tokio"], &[]),
    allow(
        "mesh/",
        &["bytes", "futures", "parking_lot", "ractor", "rand", "thiserror", "tokio", "tracing"],
        &[],
    ),
    // The outside.
    allow(
        "http/",
        &["axum", "serde", "serde_json", "thiserror", "tokio", "tracing"],
        &["futures", "parking_lot"],
    ),
    allow("cli/", &["clap", "clap_complete", "comfy_table", "serde", "serde_json", "tokio", "tracing"], &[]),
];

/// Names of the crates that `Cargo.toml` lists, as code writes them.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies]");
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.insert(name.trim().replace('-', "_"));
        }
    }
    names.remove("#");
    names
}

/// Uses of crates that the table does not allow.
fn not_allowed(tree: &Tree, table: &[Allowed]) -> Vec<String> {
    let known = dependencies(tree.text("Cargo.toml").unwrap_or_default());
    let mut offences = BTreeSet::new();
    for (path, code) in code::read_rooms(tree) {
        let fits =
            |row: &&Allowed| path.strip_prefix("src/").is_some_and(|path| path.starts_with(row.folder));
        let row = table.iter().filter(fits).max_by_key(|row| row.folder.len());
        for named in code.named.iter().filter(|named| known.contains(&named.path[0])) {
            let name = named.path[0].as_str();
            let in_test = named.in_test && IN_TESTS.contains(&name);
            let by_row =
                |row: &Allowed| row.crates.contains(&name) || (named.in_test && row.tests.contains(&name));
            let allowed = in_test || row.is_some_and(by_row);
            if !allowed {
                let kind = if named.in_test { "tests here may" } else { "code here may" };
                offences.insert(format!("{path}:{}: {kind} not use `{name}`", named.line));
            }
        }
    }
    offences.into_iter().collect()
}

/// Rows and crates of the table that nothing needs any more.
fn not_needed(tree: &Tree, table: &[Allowed]) -> Vec<String> {
    let mut used: BTreeMap<&str, BTreeSet<(String, bool)>> = BTreeMap::new();
    for (path, code) in code::read_rooms(tree) {
        let fits =
            |row: &&Allowed| path.strip_prefix("src/").is_some_and(|path| path.starts_with(row.folder));
        let Some(row) = table.iter().filter(fits).max_by_key(|row| row.folder.len()) else { continue };
        let names = code.named.iter().map(|named| (named.path[0].clone(), named.in_test));
        used.entry(row.folder).or_default().extend(names);
    }
    let mut offences = Vec::new();
    for row in table {
        let used = used.get(row.folder);
        let is_used = |name: &str, test| used.is_some_and(|used| used.contains(&(name.to_owned(), test)));
        let crates = row.crates.iter().filter(|name| !is_used(name, false));
        let tests = row.tests.iter().filter(|name| !is_used(name, true));
        offences
            .extend(crates.chain(tests).map(|name| format!("{}: `{name}` is not used there", row.folder)));
    }
    offences
}

#[test]
fn rooms_use_only_their_crates() {
    none(
        not_allowed(&HOUSE, ALLOWED),
        "The table is in tests/house/crates.rs. A crate that talks to the world belongs into the room made for it.",
    );
}

#[test]
fn the_table_of_crates_allows_nothing_in_advance() {
    none(not_needed(&HOUSE, ALLOWED), "Take these out of the table in tests/house/crates.rs.");
}

#[test]
fn a_crate_in_the_wrong_room_is_refused() {
    let table = [
        Allowed { folder: "engine/", crates: &["bytes"], tests: &["tokio"] },
        Allowed { folder: "engine/records/", crates: &["rdkafka"], tests: &[] },
    ];
    let tree = Tree::of(&[
        ("Cargo.toml", "[dependencies]\nbytes = \"1\"\nrdkafka = \"1\"\n[dev-dependencies]\ntokio = \"1\"\n"),
        (
            "src/engine/mod.rs",
            "use bytes::Bytes; use rdkafka::Message; #[cfg(test)] mod tests { use tokio::test; }",
        ),
        ("src/engine/lane.rs", "fn f() { tokio::spawn(g()); }"),
        ("src/engine/records/mod.rs", "use rdkafka::Message; use std::fmt; use bytes::Bytes;"),
        ("src/model/mod.rs", "use bytes::Bytes;"),
    ]);
    refused(
        not_allowed(&tree, &table),
        &[
            "src/engine/lane.rs:1: code here may not use `tokio`",
            "src/engine/mod.rs:1: code here may not use `rdkafka`",
            "src/engine/records/mod.rs:1: code here may not use `bytes`",
            "src/model/mod.rs:1: code here may not use `bytes`",
        ],
    );
    let table = [Allowed { folder: "model/", crates: &["bytes", "uuid"], tests: &["tokio"] }];
    refused(not_needed(&tree, &table), &["model/: `uuid`", "model/: `tokio`"]);
}
