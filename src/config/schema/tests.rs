use fancy_regex::Regex;

use super::*;

/// Checks a value against the words that our schema uses; returns what is wrong with it.
fn invalid(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unexpected type {other}"),
    };
    for (word, rule) in schema.as_object().unwrap() {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match rule {
                Value::String(name) => is(name),
                names => names.as_array().unwrap().iter().any(|name| is(name.as_str().unwrap())),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => value
                .as_str()
                .is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text).unwrap()),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "anyOf" => rule.as_array().unwrap().iter().any(|option| invalid(option, value, path).is_empty()),
            "items" => {
                value.as_array().into_iter().flatten().all(|item| invalid(rule, item, path).is_empty())
            }
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" | "additionalProperties" => true,
            other => panic!("unexpected word {other}"),
        };
        if !holds {
            wrong.push(format!("{path}: {word}"));
        }
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        match (
            schema.get("properties").and_then(|properties| properties.get(key)),
            schema.get("additionalProperties"),
        ) {
            (Some(schema), _) => wrong.extend(invalid(schema, below, &path)),
            (None, Some(Value::Bool(false))) => wrong.push(format!("{path}: not a known key")),
            (None, Some(schema)) => wrong.extend(invalid(schema, below, &path)),
            (None, None) => {}
        }
    }
    wrong
}

fn check(yaml: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(yaml).unwrap();
    invalid(&json_schema(), &value, "")
}

#[test]
fn every_topology_of_ours_fits() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            check(&std::fs::read_to_string(&path).unwrap()),
            Vec::<String>::new(),
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} files in topologies/");
}

#[test]
fn mistakes_do_not_fit() {
    let wrong = check(
        "
clusters:
  a: { bootstrap: 'a:1', colour: red, client: { acks: all, fetch.max.bytes: 1 } }
flows:
  f: { from: a, to: b, codec: zip, max_hops: 0, heartbeats: { interval: 5 } }
memory: { budget: 1 }
",
    );
    let places =
        ["/clusters/a/colour", "/clusters/a/client/fetch.max.bytes", "/flows/f/codec", "/flows/f/max_hops"];
    for place in places.into_iter().chain(["/flows/f/heartbeats/interval", "/memory/budget"]) {
        assert!(
            wrong.iter().any(|text| text.starts_with(&format!("{place}:"))),
            "{place} is not in {wrong:?}"
        );
    }
    assert_eq!(wrong.len(), 6, "{wrong:?}");
    assert_eq!(check("mesh: x").len(), 1);
}

#[test]
fn every_key_is_described_and_built_in_values_fit() {
    fn walk(schema: &Value, path: &str) {
        for (key, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{path}/{key}");
            if path.contains("/client/") || path.contains("er/") || path.contains("/admin/") {
                continue;
            }
            assert!(
                schema.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 8),
                "{path}"
            );
            if let Some(default) = schema.get("default").and_then(Value::as_str) {
                let typed = serde_yaml::from_str(default).unwrap_or_else(|_| json!(default));
                let fits = invalid(schema, &typed, &path).is_empty()
                    || invalid(schema, &json!(default), &path).is_empty();
                assert!(fits, "{path}: {default}");
            }
            walk(schema, &path);
            if let Some(each @ Value::Object(_)) = schema.get("additionalProperties") {
                walk(each, &format!("{path}/*"));
            }
        }
    }
    walk(&json_schema(), "");
}
