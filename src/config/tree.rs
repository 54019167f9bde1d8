//! The merged layers, checked against the table of keys: every value read, every mistake noted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Value};

use super::keys::{Key, Kind, ROOT, Shape, find};
use super::layers::{ENV_PREFIX, Layers};
use super::problem::{Origin, Problem, did_you_mean};
use super::secrets::{self, Text};
use super::values;

/// A value that was read and found to be of the right kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parsed {
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
    Duration(Duration),
    Size(u64),
    Integer(i64),
    Word(&'static str),
    /// Milliseconds since the epoch.
    Moment(i64),
    /// `None` for `off`.
    Listen(Option<SocketAddr>),
    /// A client setting.
    Secret(Text),
}

/// A value with its place and origin.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// The key's path.
    pub path: Vec<String>,
    /// Where it came from.
    pub origin: Origin,
    /// What it is.
    pub parsed: Parsed,
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// Keys or names with what is below them.
    Branch(BTreeMap<String, Tree>),
    /// A value.
    Leaf(Leaf),
}

impl Tree {
    /// What stands at a path below.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Tree> {
        match (self, path.split_first()) {
            (_, None) => Some(self),
            (Self::Branch(below), Some((first, rest))) => below.get(*first)?.at(rest),
            (Self::Leaf(_), Some(_)) => None,
        }
    }

    /// The value at a path below.
    pub(crate) fn leaf(&self, path: &[&str]) -> Option<&Leaf> {
        match self.at(path)? {
            Self::Leaf(leaf) => Some(leaf),
            Self::Branch(_) => None,
        }
    }

    /// The names right below.
    pub(crate) fn branches(&self) -> impl Iterator<Item = (&str, &Tree)> {
        let below = match self {
            Self::Branch(below) => Some(below),
            Self::Leaf(_) => None,
        };
        below.into_iter().flatten().map(|(name, tree)| (name.as_str(), tree))
    }
}

/// Reads the merged layers; mistakes go to `problems`, and what is wrong is left out of the tree.
pub(crate) fn read(layers: &Layers, file: &Path, problems: &mut Vec<Problem>) -> Tree {
    let base = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut reader = TreeReader { layers, base, problems };
    Tree::Branch(reader.section(&[], ROOT, &layers.merged))
}

struct TreeReader<'a> {
    layers: &'a Layers,
    base: PathBuf,
    problems: &'a mut Vec<Problem>,
}

impl TreeReader<'_> {
    fn section(&mut self, path: &[String], keys: &'static [Key], dict: &Dict) -> BTreeMap<String, Tree> {
        let mut below = BTreeMap::new();
        for (name, value) in dict {
            let path = join(path, name);
            let Some(key) = find(keys, name) else {
                self.unknown(&path, keys, value);
                continue;
            };
            if let Some(tree) = self.key(&path, key, value) {
                below.insert(name.clone(), tree);
            }
        }
        below
    }

    fn key(&mut self, path: &[String], key: &'static Key, value: &Value) -> Option<Tree> {
        if matches!(value, Value::Empty(..)) {
            return None;
        }
        match &key.shape {
            Shape::Value(kind) => self.value(path, *kind, value).map(Tree::Leaf),
            Shape::Section(keys) => {
                self.map(path, value).map(|dict| Tree::Branch(self.section(path, keys, dict)))
            }
            Shape::Settings => self.map(path, value).map(|dict| Tree::Branch(self.settings(path, dict))),
            Shape::Named(keys) => {
                let dict = self.map(path, value)?;
                let mut below = BTreeMap::new();
                for (name, value) in dict {
                    let path = join(path, name);
                    // An empty name stays in the tree, so that what it lacks is told.
                    let inner = match value {
                        Value::Empty(..) => BTreeMap::new(),
                        _ => self
                            .map(&path, value)
                            .map(|dict| self.section(&path, keys, dict))
                            .unwrap_or_default(),
                    };
                    below.insert(name.clone(), Tree::Branch(inner));
                }
                Some(Tree::Branch(below))
            }
        }
    }

    fn map<'v>(&mut self, path: &[String], value: &'v Value) -> Option<&'v Dict> {
        let dict = value.as_dict();
        if dict.is_none() {
            let origin = self.layers.origin(path, value);
            let problem =
                Problem::error("wrong_type", path.join("."), &origin, "is a value, but has keys below it");
            self.problems.push(problem.allowed("a map of keys and values"));
        }
        dict
    }

    fn value(&mut self, path: &[String], kind: Kind, value: &Value) -> Option<Leaf> {
        let origin = self.layers.origin(path, value);
        let key = path.join(".");
        if secrets::has_reference(&values::shown(value)) {
            let message = "refers to a secret, but is shown in logs, metrics and pictures";
            let problem =
                Problem::error("secret_not_allowed", key, &origin, message).given(values::shown(value));
            let problem = problem.allowed("references in client settings only");
            self.problems
                .push(problem.hint(format!("to set it from outside, use the variable {}", variable(path))));
            return None;
        }
        match values::read(kind, value) {
            Ok(parsed) => Some(Leaf { path: path.to_vec(), origin, parsed }),
            Err(complaint) => {
                let problem =
                    Problem::error("bad_value", key, &origin, complaint.message).given(complaint.given);
                self.problems.push(problem.allowed(values::allowed(kind)).maybe_hint(complaint.hint));
                None
            }
        }
    }

    /// A client setting: any scalar, references filled in.
    fn setting(&mut self, path: &[String], value: &Value) -> Option<Leaf> {
        let origin = self.layers.origin(path, value);
        let key = path.join(".");
        let Some(text) = values::scalar(value) else {
            let problem =
                Problem::error("bad_value", key, &origin, "is a list or a map, but takes one value");
            self.problems.push(problem.allowed("a text, a number, true or false"));
            return None;
        };
        match secrets::fill(&text, &self.base) {
            Ok(text) => Some(Leaf { path: path.to_vec(), origin, parsed: Parsed::Secret(text) }),
            Err(message) => {
                let problem = Problem::error("missing_secret", key, &origin, message);
                self.problems
                    .push(problem.hint("${env:NAME}, ${file:path:key} and ${dir:path:key} are filled in"));
                None
            }
        }
    }

    fn settings(&mut self, path: &[String], dict: &Dict) -> BTreeMap<String, Tree> {
        let mut below = BTreeMap::new();
        for (name, value) in dict {
            let path = join(path, name);
            if let Some(leaf) = self.setting(&path, value) {
                below.insert(name.clone(), Tree::Leaf(leaf));
            }
        }
        below
    }

    fn unknown(&mut self, path: &[String], keys: &'static [Key], value: &Value) {
        let origin = self.layers.origin(path, value);
        let name = path.last().map_or("", String::as_str);
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let hint = match name.split_once('.') {
            Some((first, rest)) if find(keys, first).is_some() => {
                Some(format!("keys are nested: write `{first}:` and below it `{rest}:`"))
            }
            _ => did_you_mean(name, names.iter().copied()),
        };
        let problem = Problem::error("unknown_key", path.join("."), &origin, "is not a known key");
        self.problems.push(problem.allowed(names.join(", ")).maybe_hint(hint));
    }
}

fn join(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// The variable that sets a key.
fn variable(path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_uppercase().replace(['-', '.'], "_")).collect();
    format!("{ENV_PREFIX}{}", parts.join("__"))
}
