//! From the names of variables and flags to keys.
//!
//! Variables can't spell every name, so `MIRRORMESH_FLOWS__EAST_WEST__START` finds the flow `east-west` of the
//! file; flags name keys as the messages do, `flows.east-west.start`.

use figment::value::{Dict, Value};

use crate::config::client::table;
use crate::config::keys::{Key, Kind, ROOT, Shape, find};
use crate::config::problem::{Origin, Problem};

use super::ENV_PREFIX;
use super::yaml::parse_value;

/// The key that a variable sets.
///
/// Nothing where the variable isn't meant for us: Kubernetes announces services to every container as
/// `MIRRORMESH_SERVICE_HOST`, `MIRRORMESH_PORT_8080_TCP` and so on. Fails with what is wrong with it.
pub(super) fn from_variable(variable: &str, known: &Dict) -> Result<Option<Vec<String>>, Box<Problem>> {
    let name = variable.strip_prefix(ENV_PREFIX).unwrap_or(variable);
    if is_kubernetes(name) {
        return Ok(None);
    }
    let origin = Origin::Env { variable: variable.to_owned() };
    let mut walk = Walk::new(known);
    let mut path = Vec::new();
    for segment in name.split("__") {
        if segment.is_empty() {
            let problem =
                Problem::error("bad_variable", "", &origin, format!("{variable} has an empty part"));
            return Err(Box::new(
                problem.hint("parts are joined by exactly two underscores, MIRRORMESH_HTTP__LISTEN"),
            ));
        }
        let found = walk.loosely(segment).map_err(|names| {
            let message = format!("{variable} fits several names: {}", names.join(", "));
            Box::new(
                Problem::error("bad_variable", path.join("."), &origin, message)
                    .hint("use --set, or rename one"),
            )
        })?;
        walk.step(&found);
        path.push(found);
    }
    Ok(Some(path))
}

/// The key that a flag sets.
pub(super) fn from_dotted(key: &str, known: &Dict) -> Vec<String> {
    let mut walk = Walk::new(known);
    let mut path = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        let segment = walk.strictly(rest).to_owned();
        rest = rest[segment.len()..].strip_prefix('.').unwrap_or("");
        walk.step(&segment);
        path.push(segment);
    }
    path
}

/// The value of a variable or flag: text, unless the key takes lists and the text is one.
pub(super) fn value(path: &[String], text: &str) -> Value {
    let mut keys = ROOT;
    let mut names = false;
    for segment in path {
        if std::mem::take(&mut names) {
            continue;
        }
        match find(keys, segment).map(|key| &key.shape) {
            Some(Shape::Section(below)) => keys = below,
            Some(Shape::Named(below)) => (keys, names) = (below, true),
            Some(Shape::Value(Kind::Patterns | Kind::Servers)) if text.trim_start().starts_with('[') => {
                return match parse_value(text) {
                    Some(list @ Value::Array(..)) => list,
                    _ => Value::from(text),
                };
            }
            _ => break,
        }
    }
    Value::from(text)
}

/// Goes down the table of keys and the names in use side by side.
struct Walk<'a> {
    place: PathPlace,
    known: Option<&'a Dict>,
}

#[derive(Clone, Copy)]
enum PathPlace {
    Keys(&'static [Key]),
    Names(&'static [Key]),
    Settings,
    Beyond,
}

impl<'a> Walk<'a> {
    fn new(known: &'a Dict) -> Self {
        Self { place: PathPlace::Keys(ROOT), known: Some(known) }
    }

    fn step(&mut self, segment: &str) {
        self.place = match self.place {
            PathPlace::Keys(keys) => match find(keys, segment).map(|key| &key.shape) {
                Some(Shape::Section(below)) => PathPlace::Keys(below),
                Some(Shape::Named(below)) => PathPlace::Names(below),
                Some(Shape::Settings) => PathPlace::Settings,
                _ => PathPlace::Beyond,
            },
            PathPlace::Names(keys) => PathPlace::Keys(keys),
            PathPlace::Settings | PathPlace::Beyond => PathPlace::Beyond,
        };
        self.known = self.known.and_then(|dict| dict.get(segment)).and_then(|value| value.as_dict());
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.known.into_iter().flat_map(|dict| dict.keys().map(String::as_str))
    }

    /// The name meant by a part of a variable: case and `-`, `.`, `_` don't count.
    fn loosely(&self, segment: &str) -> Result<String, Vec<&'a str>> {
        let plain = plain(segment);
        let candidates: Vec<&str> = match self.place {
            PathPlace::Keys(keys) => {
                keys.iter().map(|key| key.name).filter(|name| self::plain(name) == plain).collect()
            }
            PathPlace::Names(_) | PathPlace::Beyond => {
                self.names().filter(|name| self::plain(name) == plain).collect()
            }
            PathPlace::Settings => {
                let used: Vec<_> = self.names().filter(|name| self::plain(name) == plain).collect();
                let known = table::names().find(|name| self::plain(name) == plain);
                return Ok(used.first().copied().or(known).map_or(plain.replace('_', "."), str::to_owned));
            }
        };
        match candidates.as_slice() {
            [] => Ok(segment.to_ascii_lowercase()),
            [one] => Ok((*one).to_owned()),
            _ => Err(candidates),
        }
    }

    /// The first part of a dotted key: names and settings may have dots themselves.
    fn strictly<'k>(&self, rest: &'k str) -> &'k str {
        let first = rest.find('.').map_or(rest, |dot| &rest[..dot]);
        match self.place {
            PathPlace::Settings => rest,
            PathPlace::Names(_) => {
                let longest = self
                    .names()
                    .filter(|name| {
                        rest.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with('.'))
                    })
                    .max_by_key(|name| name.len());
                longest.map_or(first, |name| &rest[..name.len()])
            }
            PathPlace::Keys(_) | PathPlace::Beyond => first,
        }
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

fn is_kubernetes(name: &str) -> bool {
    if name.contains("__") {
        return false;
    }
    let parts: Vec<&str> = name.split('_').collect();
    parts.windows(2).any(|pair| pair[0] == "SERVICE" && matches!(pair[1], "HOST" | "PORT"))
        || parts.last() == Some(&"PORT")
        || parts.windows(2).any(|pair| pair[0] == "PORT" && pair[1].bytes().all(|b| b.is_ascii_digit()))
}
