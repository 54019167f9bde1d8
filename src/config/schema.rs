//! The JSON Schema of a topology file, for editors.

use serde_json::{Map, Value, json};

use super::client::table::{self, Meaning};
use super::keys::{Key, Kind, ROOT, Shape};

/// The schema, in draft 2020-12.
pub fn json_schema() -> Value {
    let mut schema = object(ROOT, "");
    let map = schema.as_object_mut().expect("it was built as an object");
    map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    map.insert("title".to_owned(), json!("MirrorMesh topology"));
    map.insert("required".to_owned(), json!(["clusters", "flows"]));
    schema
}

fn object(keys: &'static [Key], parent: &str) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut schema = match key.shape {
            Shape::Section(below) => nullable(object(below, key.name)),
            Shape::Named(below) => {
                let each = nullable(object(below, ""));
                json!({ "type": ["object", "null"], "additionalProperties": each })
            }
            Shape::Settings => settings(),
            Shape::Value(kind) => value(kind),
        };
        let map = schema.as_object_mut().expect("every schema here is an object");
        map.insert("description".to_owned(), json!(key.about));
        match key.built_in(parent).as_deref() {
            Some([one]) => drop(map.insert("default".to_owned(), json!(one))),
            Some(several) => drop(map.insert("default".to_owned(), json!(several))),
            None => {}
        }
        properties.insert(key.name.to_owned(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// A key with nothing after it is a null to YAML.
fn nullable(mut schema: Value) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.insert("type".to_owned(), json!(["object", "null"]));
    }
    schema
}

fn settings() -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let known = table::SETTINGS
        .iter()
        .filter(|setting| !matches!(setting.meaning, Meaning::Refused(_)))
        .map(|setting| (setting.name.to_owned(), scalar.clone()));
    json!({
        "type": ["object", "null"],
        "properties": known.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

fn value(kind: Kind) -> Value {
    let text = json!({ "type": "string" });
    match kind {
        Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Servers | Kind::Patterns => {
            any_of(vec![text.clone(), json!({ "type": "array", "items": text })])
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Duration(_) => json!({ "type": "string", "pattern": r"^\s*([0-9]+\s*[a-z]+\s*)+$" }),
        Kind::Size(least) => any_of(vec![
            json!({ "type": "string", "pattern": r"^\s*[0-9]+\s*([KkMmGg]([Ii]?[Bb])?|[Bb])?\s*$" }),
            json!({ "type": "integer", "minimum": least }),
        ]),
        Kind::Integer(low, high) => {
            json!({ "type": "integer", "minimum": low, "maximum": high })
        }
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Start => any_of(vec![
            json!({ "enum": ["earliest", "latest"] }),
            json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}" }),
            json!({ "type": "integer", "minimum": 0 }),
        ]),
        Kind::ReplicationFactor => {
            any_of(vec![json!({ "enum": ["source", "default"] }), json!({ "type": "integer", "minimum": 1 })])
        }
        Kind::Listen => any_of(vec![
            json!({ "enum": ["off", false] }),
            json!({ "type": "string", "pattern": r"^(\[[0-9a-fA-F:]+\]|[0-9.]+):[0-9]+$" }),
        ]),
    }
}

fn any_of(options: Vec<Value>) -> Value {
    json!({ "anyOf": options })
}

#[cfg(test)]
mod tests;
