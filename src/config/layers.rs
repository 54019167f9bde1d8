//! The layers of a configuration, later wins: built-in defaults, file, environment, `--set`.
//!
//! figment merges them and remembers of each value which layer it came from.

mod paths;
mod yaml;

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::keys::{Key, ROOT, Shape};
use super::lines::LineIndex;
use super::problem::{Origin, Problem, Problems};

/// How environment variables that set a key start.
pub(crate) const ENV_PREFIX: &str = "MIRRORMESH_";

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The topology file.
    pub file: PathBuf,
    /// Whether the environment is looked at.
    pub env: bool,
    /// `key=value` pairs from the command line, in their order.
    pub set: Vec<(String, String)>,
}

/// The merged layers, before anything is checked.
pub(crate) struct Layers {
    /// What they come to.
    pub merged: Dict,
    figment: Figment,
    lines: LineIndex,
    file: String,
}

/// One layer, as figment takes it.
struct Layer {
    origin: Origin,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        // The origin travels as JSON: figment's own notions of a source know neither variables nor flags.
        let text = serde_json::to_string(&self.origin).expect("an origin holds only text and numbers");
        Metadata::named("layer").source(figment::Source::Custom(text))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Layers {
    /// Reads and merges all layers; `env` are the variables to look at.
    ///
    /// Fails if the file can't be read or isn't YAML. What is wrong with variables and flags goes to `problems`.
    pub(crate) fn read(
        sources: &Sources,
        env: &[(String, String)],
        problems: &mut Vec<Problem>,
    ) -> Result<Self, Problems> {
        let file = sources.file.display().to_string();
        let text = read_file(&sources.file)?;
        let values = yaml::parse(&file, &text)?;
        let origin = Origin::File { file: file.clone(), line: None };
        let mut layers = vec![
            Layer { origin: Origin::Default, values: built_in() },
            Layer { origin, values: values.clone() },
        ];
        let mut known = values;
        for (variable, value) in env {
            let origin = Origin::Env { variable: variable.clone() };
            match paths::from_variable(variable, &known) {
                Ok(path) => layers.push(layer(origin, &path, value, &mut known)),
                Err(problem) => problems.extend(problem),
            }
        }
        for (key, value) in &sources.set {
            let origin = Origin::Set { key: key.clone() };
            let path = paths::from_dotted(key, &known);
            layers.push(layer(origin, &path, value, &mut known));
        }
        let figment = layers.into_iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
        let merged =
            figment.data().map(|mut profiles| profiles.remove(&Profile::Default).unwrap_or_default());
        let merged = merged.map_err(|error| unusable(&file, format!("can't be merged: {error}")))?;
        Ok(Self { merged, figment, lines: LineIndex::new(&text), file })
    }

    /// Where the value at `path` came from.
    pub(crate) fn origin(&self, path: &[String], value: &Value) -> Origin {
        let source = self.figment.get_metadata(value.tag()).and_then(|metadata| metadata.source.as_ref());
        let text = source.and_then(|source| source.custom());
        match text.and_then(|text| serde_json::from_str(text).ok()) {
            Some(Origin::File { .. }) => self.in_file(path),
            Some(origin) => origin,
            None => Origin::Default,
        }
    }

    /// The place of a key in the file, for what is missing there or is about several keys.
    pub(crate) fn in_file(&self, path: &[String]) -> Origin {
        Origin::File { file: self.file.clone(), line: self.lines.find(path) }
    }
}

/// The variables that may set a key, sorted so that messages come in a fixed order.
pub(crate) fn environment() -> Vec<(String, String)> {
    let mut variables: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .collect();
    variables.sort();
    variables
}

fn layer(origin: Origin, path: &[String], text: &str, known: &mut Dict) -> Layer {
    let mut values = Dict::new();
    put(&mut values, path, paths::value(path, text));
    put(known, path, Value::from(text));
    Layer { origin, values }
}

fn put(dict: &mut Dict, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        dict.insert(first.clone(), value);
        return;
    }
    let below = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
    if !matches!(below, Value::Dict(..)) {
        *below = Value::from(Dict::new());
    }
    if let Value::Dict(_, inner) = below {
        put(inner, rest, value);
    }
}

/// Defaults of the process, and of flows under `defaults`.
fn built_in() -> Dict {
    fn fill(keys: &'static [Key], parent: &str) -> Dict {
        let mut dict = Dict::new();
        for key in keys {
            match key.shape {
                Shape::Section(below) => {
                    dict.insert(key.name.to_owned(), Value::from(fill(below, key.name)));
                }
                Shape::Value(_) => match key.built_in(parent).as_deref() {
                    Some([one]) => drop(dict.insert(key.name.to_owned(), Value::from(*one))),
                    Some(several) => drop(dict.insert(key.name.to_owned(), Value::from(several.to_vec()))),
                    None => {}
                },
                Shape::Named(_) | Shape::Settings => {}
            }
        }
        dict
    }
    fill(ROOT, "")
}

fn read_file(path: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    std::fs::read_to_string(path).map_err(|error| {
        let mut problems = unusable(&file, format!("can't be read: {error}"));
        problems.list[0].hint = Some("name a topology file; examples are in topologies/".to_owned());
        problems
    })
}

/// The answer to input that can't even be looked at.
pub(super) fn unusable(file: &str, message: String) -> Problems {
    let origin = Origin::File { file: file.to_owned(), line: None };
    Problems {
        unusable: true,
        list: vec![Problem::error("unusable_input", "", &origin, format!("{file} {message}"))],
    }
}

#[cfg(test)]
mod tests;
