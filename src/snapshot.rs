//! What users build on, kept as text beside the tests: names of metrics, events and faults, keys of JSON, exit codes.
//!
//! Each room writes down its part from the code itself, and [`check`] compares that with the file in `tests/snapshot/`.
//! A difference is either a mistake, or meant: then the file is written anew and the difference read in review.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

/// Set to anything, it makes [`check`] write the files instead of comparing.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

/// Compares `found` with `tests/snapshot/<name>.txt`.
pub(crate) fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshot/{name}.txt"));
    if std::env::var_os(UPDATE).is_some() {
        return std::fs::write(&path, found).expect("the snapshot can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let changes = difference(&kept, found);
    assert!(
        changes.is_empty(),
        "what users build on has changed (- as it was, + as it is now):\n\n{changes}\n\
         If that is a mistake, mend the code. If it is meant, say so in CHANGELOG.md, and write\n\
         tests/snapshot/{name}.txt anew with `{UPDATE}=1 cargo test --lib snapshot`."
    );
}

/// The lines that only one of the two has, each under the last heading before it.
fn difference(kept: &str, found: &str) -> String {
    let mut text = String::new();
    for (sign, lines, others) in [('-', kept, found), ('+', found, kept)] {
        let mut left: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in under_headings(others) {
            *left.entry(line).or_default() += 1;
        }
        for line in under_headings(lines) {
            match left.get_mut(&line) {
                Some(count) if *count > 0 => *count -= 1,
                _ => writeln!(text, "{sign} {}: {}", line.0, line.1).expect("a string takes text"),
            }
        }
    }
    if text.is_empty() && kept != found {
        text.push_str("the same lines in another order\n");
    }
    text
}

fn under_headings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut heading = "";
    text.lines().filter(|line| !line.is_empty()).map(move |line| {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        (heading, line)
    })
}

/// Every path of a JSON value with its type, sorted: `flows[].name string`.
///
/// # Panics
/// A null, or an empty list or object: a sample that leaves something out hides what it is about.
pub(crate) fn json_shape(sample: &impl Serialize) -> String {
    let sample = serde_json::to_value(sample).expect("our own types serialize");
    let mut found = BTreeMap::new();
    collect("", &sample, &mut found);
    found.into_iter().map(|(path, kind)| format!("{path} {kind}\n")).collect()
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => panic!("{path} is null: fill the sample"),
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(list) => {
            assert!(!list.is_empty(), "{path} is empty: fill the sample");
            return list.iter().for_each(|value| collect(&format!("{path}[]"), value, found));
        }
        Value::Object(map) => {
            assert!(!map.is_empty(), "{path} is empty: fill the sample");
            let dot = if path.is_empty() { "" } else { "." };
            return map.iter().for_each(|(key, value)| collect(&format!("{path}{dot}{key}"), value, found));
        }
    };
    let before = found.insert(path.to_owned(), kind);
    assert!(before.is_none_or(|before| before == kind), "{path} is {kind} and {before:?}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_the_heading_and_both_sides() {
        let (kept, found) = ("## a\nx 1\ny 2\n\n## b\nx 1\n", "## a\nx 1\n\n## b\nx 1\nz 3\n");
        assert_eq!(difference(kept, found), "- a: y 2\n+ b: z 3\n");
        assert_eq!(difference(kept, kept), "");
        assert_eq!(difference("a\nb\n", "b\na\n"), "the same lines in another order\n");
    }

    #[test]
    fn a_shape_is_every_path_with_its_type() {
        let sample = json!({ "b": [{ "x": 1 }, { "y": "text" }], "a": true });
        assert_eq!(json_shape(&sample), "a boolean\nb[].x integer\nb[].y string\n");
    }

    #[test]
    #[should_panic(expected = "a.b is null: fill the sample")]
    fn a_sample_that_leaves_something_out_is_refused() {
        json_shape(&json!({ "a": { "b": null } }));
    }
}
