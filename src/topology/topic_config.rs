//! Which configuration a remote topic gets, and which entries change when the source's do.
//!
//! MirrorMaker 2's rules, with three differences: only differences are written; what was set on the source's
//! brokers (not on the topic) counts as a default; and remote topics take any timestamp that the source takes.

use serde::Serialize;

use super::java_regex::{JavaPattern, PatternError};
use super::{DefaultsFrom, TopicConfigSpec};
use crate::model::ConfigEntry;

/// Decides how far in the future a record's timestamp may be. Since Kafka 4.0 brokers refuse more than an hour by
/// default, so a remote topic gets what applies on the source, whatever the rules say of other entries.
pub const TIMESTAMP_AFTER: &str = "message.timestamp.after.max.ms";

/// No bound: what brokers do that don't know [`TIMESTAMP_AFTER`] (before 3.6).
const UNLIMITED_MS: &str = "9223372036854775807";

/// A change of one entry of a remote topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigEdit {
    /// Sets an entry.
    Set {
        /// The entry.
        name: String,
        /// Its new value.
        value: String,
        /// The value that applies now, if the target told.
        was: Option<String>,
    },
    /// Removes an entry, so that the target's default applies.
    Delete {
        /// The entry.
        name: String,
        /// The value that applies now, if the target told.
        was: Option<String>,
    },
}

/// The rules of one flow, compiled.
#[derive(Clone, Debug)]
pub struct ConfigRules {
    exclude: Vec<JavaPattern>,
    defaults_from: DefaultsFrom,
}

impl ConfigRules {
    /// Compiles the rules of a flow. Fails with the pattern that can't be used; `config::load` finds them all.
    pub fn new(spec: &TopicConfigSpec) -> Result<Self, PatternError> {
        let exclude =
            spec.exclude.iter().map(|pattern| JavaPattern::compile(pattern)).collect::<Result<_, _>>()?;
        Ok(Self { exclude, defaults_from: spec.use_defaults_from })
    }

    /// The entries a remote topic is created with; an empty `source` means that the source could not be asked.
    pub fn creation(&self, source: &[ConfigEntry]) -> Vec<(String, String)> {
        let mut entries = vec![(TIMESTAMP_AFTER.to_owned(), timestamp_after(source))];
        for entry in source.iter().filter(|entry| self.concerns(entry)) {
            if (!entry.is_default() || self.defaults_from == DefaultsFrom::Source)
                && let Some(value) = &entry.value
            {
                entries.push((entry.name.clone(), value.clone()));
            }
        }
        entries.sort();
        entries
    }

    /// What has to change on a remote topic so that it follows the source; empty when it does already.
    pub fn changes(&self, source: &[ConfigEntry], target: &[ConfigEntry]) -> Vec<ConfigEdit> {
        let on_target = |name: &str| target.iter().find(|entry| entry.name == name);
        let mut edits = Vec::new();
        let mut wants = |name: &str, value: &str| {
            // What the target doesn't list it doesn't know, or we may not see: it would refuse a change.
            let Some(now) = on_target(name).filter(|now| now.can_be_copied()) else { return };
            if now.value.as_deref() != Some(value) {
                edits.push(ConfigEdit::Set {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    was: now.value.clone(),
                });
            }
        };
        if !source.is_empty() {
            wants(TIMESTAMP_AFTER, &timestamp_after(source));
        }
        for entry in source.iter().filter(|entry| self.concerns(entry)) {
            if (!entry.is_default() || self.defaults_from == DefaultsFrom::Source)
                && let Some(value) = &entry.value
            {
                wants(&entry.name, value);
            }
        }
        if self.defaults_from == DefaultsFrom::Target {
            edits.extend(self.removals(source, target));
        }
        edits.sort();
        edits
    }

    /// Entries set on the remote topic that the source leaves at its default.
    fn removals(&self, source: &[ConfigEntry], target: &[ConfigEntry]) -> Vec<ConfigEdit> {
        let removed = target.iter().filter(|now| !now.is_default() && now.can_be_copied()).filter(|now| {
            let here = source.iter().find(|entry| entry.name == now.name);
            here.is_some_and(|entry| entry.is_default() && self.concerns(entry))
        });
        removed.map(|now| ConfigEdit::Delete { name: now.name.clone(), was: now.value.clone() }).collect()
    }

    fn concerns(&self, entry: &ConfigEntry) -> bool {
        entry.can_be_copied() && entry.name != TIMESTAMP_AFTER && !self.is_excluded(&entry.name)
    }

    /// A pattern that gives up on a name leaves the entry alone: that changes nothing.
    fn is_excluded(&self, name: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.matches(name) != Ok(false))
    }
}

/// What applies on the source, set on the topic or not.
fn timestamp_after(source: &[ConfigEntry]) -> String {
    let entry = source.iter().find(|entry| entry.name == TIMESTAMP_AFTER);
    entry.and_then(|entry| entry.value.clone()).unwrap_or_else(|| UNLIMITED_MS.to_owned())
}
