//! The file's text as figment values.

use figment::value::{Dict, Empty, Tag, Value};
use serde_yaml::Value as Yaml;

use crate::config::problem::{Origin, Problem, Problems};

use super::unusable;

/// Reads a YAML document whose top is a map.
///
/// Fails where it isn't YAML, has a key twice, or its top isn't a map.
pub(super) fn parse(file: &str, text: &str) -> Result<Dict, Problems> {
    let mut yaml: Yaml = serde_yaml::from_str(text).map_err(|error| not_yaml(file, &error))?;
    yaml.apply_merge().map_err(|error| not_yaml(file, &error))?;
    match yaml {
        Yaml::Mapping(_) => match convert(yaml) {
            Value::Dict(_, dict) => Ok(dict),
            _ => Ok(Dict::new()),
        },
        Yaml::Null => Ok(Dict::new()),
        _ => Err(unusable(file, "is YAML, but not a map of keys and values".to_owned())),
    }
}

/// One value as it is written inside a document, e.g. `[a, b]`.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok().map(convert)
}

fn convert(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Empty(Tag::Default, Empty::None),
        Yaml::Bool(flag) => Value::from(flag),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, Some(number)) => Value::from(number),
            _ => Value::from(number.to_string()),
        },
        Yaml::String(text) => Value::from(text),
        Yaml::Sequence(items) => Value::from(items.into_iter().map(convert).collect::<Vec<_>>()),
        Yaml::Mapping(map) => {
            Value::from(map.into_iter().map(|(key, value)| (key_text(key), convert(value))).collect::<Dict>())
        }
        Yaml::Tagged(tagged) => convert(tagged.value),
    }
}

/// Names may look like numbers or flags: `1:` and `true:` are names here.
fn key_text(key: Yaml) -> String {
    match key {
        Yaml::String(text) => text,
        Yaml::Bool(flag) => flag.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Null => "null".to_owned(),
        other => format!("{other:?}"),
    }
}

fn not_yaml(file: &str, error: &serde_yaml::Error) -> Problems {
    let origin = Origin::File { file: file.to_owned(), line: error.location().map(|place| place.line()) };
    let problem = Problem::error("not_yaml", "", &origin, format!("{file} is not valid YAML: {error}"));
    Problems { unusable: true, list: vec![problem] }
}
