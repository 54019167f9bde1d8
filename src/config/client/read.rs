//! From settings under their Java names to what our clients take.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::problem::{Origin, Problem, did_you_mean};
use crate::config::secrets::Text;
use crate::config::tree::{Parsed, Tree};

use super::table::{self, Meaning, Value};
use super::{ClientSettings, security};

/// How clients introduce themselves unless told otherwise.
const CLIENT_ID: &str = "mirrormesh";
/// Java's own default: longer than a leader election takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Java's own default; enough for a slow link with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Java's own default: a restarted broker is back within a second or two.
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// Java's own default: one attempt a second does no harm, and an outage's end is noticed at once.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A setting as it was given.
pub(super) struct GivenSetting<'a> {
    pub key: String,
    pub origin: &'a Origin,
    pub text: &'a Text,
}

/// Which part of a cluster's settings.
#[derive(Clone, Copy, PartialEq)]
enum SettingsPart {
    Client,
    Consumer,
    Producer,
    Admin,
}

const PARTS: [(SettingsPart, &str); 4] = [
    (SettingsPart::Client, "client"),
    (SettingsPart::Consumer, "consumer"),
    (SettingsPart::Producer, "producer"),
    (SettingsPart::Admin, "admin"),
];

/// Reads the settings of one cluster; `base` is the folder that relative paths start from.
pub(crate) fn read(
    alias: &str,
    bootstrap: &[String],
    cluster: &Tree,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> ClientSettings {
    let mut reader = SettingsReader {
        problems,
        connection: BTreeMap::new(),
        settings: ClientSettings {
            bootstrap: bootstrap.to_vec(),
            client_id: CLIENT_ID.to_owned(),
            rack: None,
            tls: None,
            sasl: None,
            request_timeout: REQUEST_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            reconnect_backoff: RECONNECT_BACKOFF,
            reconnect_backoff_max: RECONNECT_BACKOFF_MAX,
            rdkafka_consumer: Vec::new(),
            rdkafka_producer: Vec::new(),
        },
    };
    for (part, name) in PARTS {
        for (setting, tree) in cluster.at(&[name]).into_iter().flat_map(Tree::branches) {
            if let Tree::Leaf(leaf) = tree
                && let Parsed::Secret(text) = &leaf.parsed
            {
                reader.setting(
                    part,
                    setting,
                    GivenSetting { key: leaf.path.join("."), origin: &leaf.origin, text },
                );
            }
        }
    }
    let SettingsReader { connection, mut settings, problems } = reader;
    (settings.tls, settings.sasl) = security::read(alias, &connection, base, problems);
    settings
}

struct SettingsReader<'a> {
    problems: &'a mut Vec<Problem>,
    connection: BTreeMap<&'static str, GivenSetting<'a>>,
    settings: ClientSettings,
}

impl<'a> SettingsReader<'a> {
    fn setting(&mut self, part: SettingsPart, name: &str, given: GivenSetting<'a>) {
        let Some(setting) = table::find(name) else {
            let message = "is not a setting of Kafka's clients";
            let problem = Problem::error("unknown_setting", &given.key, given.origin, message);
            let problem = problem.maybe_hint(did_you_mean(name, table::names()));
            self.problems.push(problem.allowed("settings under their Java names"));
            return;
        };
        match setting.meaning {
            Meaning::Connection if part == SettingsPart::Client => {
                drop(self.connection.insert(setting.name, given))
            }
            Meaning::Connection => {
                let message =
                    "is about the connection, which is the same for everything that talks to a cluster";
                let problem = Problem::error("misplaced_setting", &given.key, given.origin, message);
                self.problems.push(problem.hint("put it under `client`"));
            }
            Meaning::Both(consumer, producer) => self.both(part, setting.name, consumer, producer, &given),
            Meaning::Records(consumer, producer, value) => {
                if let Some(text) = self.value(setting.name, value, &given) {
                    self.native(part, consumer, producer, &text, &given);
                }
            }
            Meaning::Only(allowed, reason) => {
                if !allowed.contains(&given.text.value.trim()) {
                    self.refuse(setting.name, &given, reason, Some(allowed.join(" or ")));
                }
            }
            Meaning::Refused(reason) => self.refuse(setting.name, &given, reason, None),
            Meaning::Nothing(reason) => self.nothing(&given, reason),
        }
    }

    fn refuse(&mut self, name: &str, given: &GivenSetting<'_>, reason: &str, allowed: Option<String>) {
        let message = format!("can't be set: {reason}");
        let mut problem = Problem::error("refused_setting", &given.key, given.origin, message);
        problem.given = Some(shown(name, given));
        problem.allowed = allowed;
        self.problems.push(problem);
    }

    fn nothing(&mut self, given: &GivenSetting<'_>, reason: &str) {
        let message = format!("has no meaning here and is left out: {reason}");
        self.problems.push(Problem::warning("setting_without_meaning", &given.key, given.origin, message));
    }

    /// Names and times: for both our clients under `client` and `admin`, else for librdkafka only.
    fn both(
        &mut self,
        part: SettingsPart,
        name: &str,
        consumer: &str,
        producer: &str,
        given: &GivenSetting<'_>,
    ) {
        let text = given.text.value.trim().to_owned();
        let length = match name {
            "client.id" | "client.rack" => None,
            // Zero would mean no time at all, or no pause.
            _ => {
                match self.value(name, Value::Number(1, 3_600_000), given).and_then(|text| text.parse().ok())
                {
                    Some(millis) => Some(Duration::from_millis(millis)),
                    None => return,
                }
            }
        };
        match part {
            SettingsPart::Client | SettingsPart::Admin => self.typed(name, text, length),
            SettingsPart::Consumer | SettingsPart::Producer => {
                self.native(part, consumer, producer, &text, given)
            }
        }
    }

    fn typed(&mut self, name: &str, text: String, length: Option<Duration>) {
        let settings = &mut self.settings;
        match (name, length) {
            ("client.id", _) => settings.client_id = text,
            ("client.rack", _) => settings.rack = Some(text),
            ("request.timeout.ms", Some(length)) => settings.request_timeout = length,
            ("socket.connection.setup.timeout.ms", Some(length)) => settings.connect_timeout = length,
            ("reconnect.backoff.ms", Some(length)) => settings.reconnect_backoff = length,
            ("reconnect.backoff.max.ms", Some(length)) => settings.reconnect_backoff_max = length,
            _ => {}
        }
    }

    fn native(
        &mut self,
        part: SettingsPart,
        consumer: &str,
        producer: &str,
        text: &str,
        given: &GivenSetting<'_>,
    ) {
        let (reads, writes) = match part {
            SettingsPart::Client => (true, true),
            SettingsPart::Consumer => (true, false),
            SettingsPart::Producer => (false, true),
            SettingsPart::Admin => (false, false),
        };
        let (reads, writes) = (reads && !consumer.is_empty(), writes && !producer.is_empty());
        if reads {
            put(&mut self.settings.rdkafka_consumer, consumer, text);
        }
        if writes {
            put(&mut self.settings.rdkafka_producer, producer, text);
        }
        if !reads && !writes {
            let reason = match part {
                SettingsPart::Consumer => "it is about writing records",
                SettingsPart::Producer => "it is about reading records",
                SettingsPart::Client | SettingsPart::Admin => "it is about records, not about administration",
            };
            self.nothing(given, reason);
        }
    }

    /// The value in librdkafka's words, or nothing and a problem.
    fn value(&mut self, name: &str, kind: Value, given: &GivenSetting<'_>) -> Option<String> {
        let text = given.text.value.trim();
        let (fits, allowed) = match kind {
            Value::Number(low, high) => {
                let number = text.parse::<i64>().ok();
                (
                    number.is_some_and(|n| (low..=high).contains(&n)),
                    format!("a whole number from {low} to {high}"),
                )
            }
            Value::Buffer => {
                let number = text.parse::<i64>().ok();
                (
                    number.is_some_and(|n| (-1..=100_000_000).contains(&n)),
                    "bytes, or -1 for the system's choice".into(),
                )
            }
            Value::Flag => (matches!(text, "true" | "false"), "true or false".to_owned()),
            Value::Word(words) => (words.contains(&text), words.join(", ")),
            Value::Any => (true, String::new()),
        };
        if !fits {
            let problem =
                Problem::error("bad_value", &given.key, given.origin, "is not a value this setting takes");
            self.problems.push(problem.given(shown(name, given)).allowed(allowed));
            return None;
        }
        Some(if kind == Value::Buffer && text == "-1" { "0".to_owned() } else { text.to_owned() })
    }
}

/// Sets an option; what comes later wins.
fn put(options: &mut Vec<(String, String)>, name: &str, value: &str) {
    options.retain(|(known, _)| known != name);
    options.push((name.to_owned(), value.to_owned()));
}

pub(super) fn shown(name: &str, given: &GivenSetting<'_>) -> String {
    if table::is_secret(name) {
        crate::config::secrets::HIDDEN.to_owned()
    } else {
        given.text.shown().to_owned()
    }
}
