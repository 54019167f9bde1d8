//! The effective configuration: every value, where it came from, secrets hidden.

use serde::Serialize;

use super::build::{ValuesView, named};
use super::client::table;
use super::keys::{Key, ROOT, Shape};
use super::problem::Origin;
use super::secrets::HIDDEN;
use super::tree::{Leaf, Tree};
use super::values;

/// One value in effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveValue {
    /// The key's path, as `--set` takes it.
    pub key: String,
    /// The value; `(hidden)` for secrets.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Every value in effect, in the order of the documentation.
pub(crate) fn entries(tree: &Tree) -> Vec<EffectiveValue> {
    let mut entries = Vec::new();
    for key in ROOT.iter().filter(|key| key.name != "defaults") {
        collect(&ValuesView { first: tree, second: None }, std::slice::from_ref(key), &[], "", &mut entries);
    }
    entries
}

fn collect(
    view: &ValuesView<'_>,
    keys: &'static [Key],
    path: &[&str],
    front: &str,
    entries: &mut Vec<EffectiveValue>,
) {
    for key in keys {
        let path: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        match key.shape {
            Shape::Section(below) => collect(view, below, &path, front, entries),
            Shape::Value(_) => {
                let leaf = view.leaf(&path);
                entries.extend(leaf.map(|leaf| entry(format!("{front}{}", path.join(".")), leaf, false)));
            }
            Shape::Settings => {
                for (name, tree) in view.first.at(&path).into_iter().flat_map(Tree::branches) {
                    if let Tree::Leaf(leaf) = tree {
                        let name_of = format!("{front}{}.{name}", path.join("."));
                        entries.push(entry(name_of, leaf, table::is_secret(name)));
                    }
                }
            }
            Shape::Named(below) => {
                for (name, tree) in named(view.first, key.name) {
                    // What a flow does not say, `defaults` says.
                    let second = if key.name == "flows" { view.first.at(&["defaults"]) } else { None };
                    let front = format!("{}.{name}.", key.name);
                    collect(&ValuesView { first: tree, second }, below, &[], &front, entries);
                }
            }
        }
    }
}

fn entry(key: String, leaf: &Leaf, secret: bool) -> EffectiveValue {
    let value = if secret { HIDDEN.into() } else { values::show(&leaf.parsed) };
    EffectiveValue { key, value, origin: leaf.origin.clone() }
}
