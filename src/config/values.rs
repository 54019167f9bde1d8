//! One value: from what the layers hold to what its kind asks for, and back to text.

use figment::value::{Num, Value};

use super::keys::Kind;
use super::problem::did_you_mean;
use super::tree::Parsed;
use super::units;

/// Why a value is not what its kind asks for.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// The value.
    pub given: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Reads a value of a kind.
pub(crate) fn read(kind: Kind, value: &Value) -> Result<Parsed, Complaint> {
    let bad = |message: &str| Complaint { given: shown(value), message: message.to_owned(), hint: None };
    let texts = texts(value).ok_or_else(|| bad("has keys below it, but is a value"))?;
    match (kind, texts.as_slice()) {
        (Kind::Servers, _) => servers(&texts).map(Parsed::Texts),
        (Kind::Patterns, _) if texts.iter().any(String::is_empty) => {
            Err(bad("has an empty pattern, which matches nothing"))
        }
        (Kind::Patterns, _) => Ok(Parsed::Texts(texts)),
        (_, [text]) if !matches!(value, Value::Array(..)) => {
            single(kind, text).map_err(|(message, hint)| Complaint { given: text.clone(), message, hint })
        }
        _ => Err(bad("is a list, but takes one value")),
    }
}

/// Scalars as text, lists item by item; `None` for maps and lists of lists.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(_, items) => items.iter().map(scalar).collect(),
        _ => scalar(value).map(|text| vec![text]),
    }
}

/// A value that is neither list nor map, as text.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => Some(number_text(number)),
        Value::Empty(..) => Some(String::new()),
        Value::Dict(..) | Value::Array(..) => None,
    }
}

fn number_text(number: &Num) -> String {
    match (number.to_i128(), number.to_u128(), number.to_f64()) {
        (Some(number), _, _) => number.to_string(),
        (_, Some(number), _) => number.to_string(),
        (_, _, Some(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A value as it stands in the layers, for messages about its type.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Dict(_, dict) => format!("a map of {}", dict.keys().cloned().collect::<Vec<_>>().join(", ")),
        Value::Array(_, items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        _ => scalar(value).unwrap_or_default(),
    }
}

/// `host:port` each; Kafka's own form, separated by commas, is taken too.
fn servers(texts: &[String]) -> Result<Vec<String>, Complaint> {
    let each =
        texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|server| !server.is_empty());
    let all: Vec<String> = each.map(str::to_owned).collect();
    for server in &all {
        if let Err(message) = server_address(server) {
            let hint = server.contains("://").then(|| "leave the scheme away".to_owned());
            return Err(Complaint { given: server.clone(), message, hint });
        }
    }
    if all.is_empty() {
        return Err(Complaint { given: texts.join(","), message: "names no server".to_owned(), hint: None });
    }
    Ok(all)
}

fn server_address(text: &str) -> Result<(), String> {
    let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) || host.contains(['/', ' ', '@']) {
        return Err("is not host:port".to_owned());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        _ => Err("has a port that is not a number from 1 to 65535".to_owned()),
    }
}

fn single(kind: Kind, text: &str) -> Result<Parsed, (String, Option<String>)> {
    let value = text.trim();
    let plain = |message: &str| (message.to_owned(), None);
    match kind {
        Kind::Text | Kind::Servers | Kind::Patterns => Ok(Parsed::Text(text.to_owned())),
        Kind::Flag => match value {
            "true" => Ok(Parsed::Flag(true)),
            "false" => Ok(Parsed::Flag(false)),
            _ => Err(plain("is neither true nor false")),
        },
        Kind::Duration(least) => match units::duration(value) {
            Ok(length) if length < least => Err(plain("is too short")),
            Ok(length) => Ok(Parsed::Duration(length)),
            Err(message) => Err((message, None)),
        },
        Kind::Size(least) => match units::size(value) {
            Ok(bytes) if bytes < least => Err(plain("is too small")),
            Ok(bytes) => Ok(Parsed::Size(bytes)),
            Err(message) => Err((message, None)),
        },
        Kind::Integer(low, high) => match value.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(Parsed::Integer(number)),
            Ok(_) => Err(plain("is out of range")),
            Err(_) => Err(plain("is not a whole number")),
        },
        Kind::Choice(words) => match words.iter().find(|word| **word == value) {
            Some(word) => Ok(Parsed::Word(word)),
            None => Err(("is not one of the known words".to_owned(), hint(text, words))),
        },
        Kind::Start => start(value).ok_or_else(|| {
            let hint = hint(text, &["earliest", "latest"]);
            ("is neither a word nor a moment that is known".to_owned(), hint)
        }),
        Kind::ReplicationFactor => match value {
            "source" => Ok(Parsed::Word("source")),
            "default" | "-1" => Ok(Parsed::Word("default")),
            _ => match value.parse::<i16>() {
                Ok(number) if number > 0 => Ok(Parsed::Integer(i64::from(number))),
                Ok(_) => Err(plain("is not a possible number of replicas")),
                Err(_) => Err(("is not a replication factor".to_owned(), hint(text, &["source", "default"]))),
            },
        },
        Kind::Listen => match value {
            // `false` is what `off` means to older YAML.
            "off" | "false" => Ok(Parsed::Listen(None)),
            _ => value
                .parse()
                .map(|address| Parsed::Listen(Some(address)))
                .map_err(|_| listen_complaint(value)),
        },
    }
}

fn hint(text: &str, words: &[&str]) -> Option<String> {
    did_you_mean(text.trim(), words.iter().copied())
}

fn listen_complaint(value: &str) -> (String, Option<String>) {
    let hint = value
        .trim_start_matches(':')
        .rsplit(':')
        .next()
        .filter(|port| port.parse::<u16>().is_ok())
        .map(|port| format!("write 127.0.0.1:{port} for this host only, 0.0.0.0:{port} for everyone"));
    ("is not an address to listen on".to_owned(), hint)
}

fn start(value: &str) -> Option<Parsed> {
    match value {
        "earliest" => return Some(Parsed::Word("earliest")),
        "latest" => return Some(Parsed::Word("latest")),
        _ => {}
    }
    if let Ok(millis) = value.parse::<i64>() {
        return (millis >= 0).then_some(Parsed::Moment(millis));
    }
    let moment = humantime::parse_rfc3339_weak(value).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Parsed::Moment)
}

/// What a kind takes, in words.
pub(crate) fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Servers => "host:port, or a list of them".to_owned(),
        Kind::Patterns => "a Java regular expression, or a list of them".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Duration(least) => {
            format!("a duration such as 500ms, 5s or 1m, at least {}", units::show_duration(least))
        }
        Kind::Size(least) => format!("a size such as 64KiB or 96MiB, at least {}", units::show_size(least)),
        Kind::Integer(low, high) => format!("a whole number from {low} to {high}"),
        Kind::Choice(words) => words.join(", "),
        Kind::Start => {
            "earliest, latest, a moment such as 2026-01-31T00:00:00Z, or milliseconds since 1970".to_owned()
        }
        Kind::ReplicationFactor => "a number from 1, `source`, or `default`".to_owned(),
        Kind::Listen => "an address and port such as 127.0.0.1:8080 or [::]:8080, or off".to_owned(),
    }
}

/// A value as it is shown to people, secrets hidden.
pub(crate) fn show(parsed: &Parsed) -> serde_json::Value {
    match parsed {
        Parsed::Text(text) => text.as_str().into(),
        Parsed::Texts(texts) => texts.clone().into(),
        Parsed::Secret(text) => text.shown().into(),
        Parsed::Flag(flag) => (*flag).into(),
        Parsed::Duration(length) => units::show_duration(*length).into(),
        Parsed::Size(bytes) => units::show_size(*bytes).into(),
        Parsed::Integer(number) => (*number).into(),
        Parsed::Word(word) => (*word).into(),
        Parsed::Moment(millis) => show_moment(*millis).into(),
        Parsed::Listen(Some(address)) => address.to_string().into(),
        Parsed::Listen(None) => "off".into(),
    }
}

fn show_moment(millis: i64) -> String {
    let since = std::time::Duration::from_millis(millis.unsigned_abs());
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Kind, text: &str) -> Option<Parsed> {
        read(kind, &Value::from(text)).ok()
    }

    #[test]
    fn starts_are_words_or_moments() {
        assert_eq!(parse(Kind::Start, "latest"), Some(Parsed::Word("latest")));
        assert_eq!(parse(Kind::Start, "1700000000000"), Some(Parsed::Moment(1_700_000_000_000)));
        assert_eq!(parse(Kind::Start, "2023-11-14T22:13:20Z"), Some(Parsed::Moment(1_700_000_000_000)));
        assert_eq!(parse(Kind::Start, "yesterday"), None);
        assert_eq!(parse(Kind::Start, "-5"), None);
    }

    #[test]
    fn servers_are_split_and_checked() {
        let servers = parse(Kind::Servers, "a:1, b:2,").map(|parsed| show(&parsed).to_string());
        assert_eq!(servers.as_deref(), Some(r#"["a:1","b:2"]"#));
        for wrong in ["a", "a:0", "a:70000", ":9092", "http://a:1", "a b:1", "::1:9092", ","] {
            assert_eq!(parse(Kind::Servers, wrong), None, "{wrong}");
        }
        assert!(parse(Kind::Servers, "[::1]:9092").is_some());
    }

    #[test]
    fn listening_can_be_off() {
        assert_eq!(parse(Kind::Listen, "off"), Some(Parsed::Listen(None)));
        assert_eq!(parse(Kind::Listen, "false"), Some(Parsed::Listen(None)));
        assert!(parse(Kind::Listen, "0.0.0.0:1").is_some());
        assert_eq!(parse(Kind::Listen, ":8080"), None);
        assert!(listen_complaint(":8080").1.unwrap().contains("0.0.0.0:8080"));
    }
}
