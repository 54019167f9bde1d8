//! What the commands print: one shape for people and programs, and what `import` reads again.

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::{Alias, FlowName};
use crate::offsets::groups::{GroupReading, OffsetReading};
use crate::offsets::{Direction, TranslatedOffset};
use crate::topology::FlowSpec;

/// Translated offsets of one flow.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    flow: FlowName,
    from: Alias,
    to: Alias,
    direction: Direction,
    /// Where committed offsets were read: `source`, `checkpoints` or `target`; none where they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<&'static str>,
    /// When, milliseconds since the epoch.
    at_ms: i64,
    /// The group for which the translated offsets were committed, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<String>,
    offsets: Vec<OffsetEntry>,
}

/// One translated offset.
#[derive(Debug, Serialize)]
pub(super) struct OffsetEntry {
    /// Whose commit it is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The offset and its translation.
    #[serde(flatten)]
    pub answer: TranslatedOffset,
    /// What was committed beside the offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// What a document that was read says beside these, kept for the program that reads on.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl OffsetEntry {
    /// An offset that nobody committed.
    pub(super) fn bare(answer: TranslatedOffset) -> Self {
        Self { group: None, answer, metadata: None, more: Map::new() }
    }

    /// A group's commit.
    pub(super) fn of_group(group: &str, answer: TranslatedOffset, metadata: &str) -> Self {
        let (group, metadata) = (Some(group.to_owned()), Some(metadata.to_owned()));
        Self { group, answer, metadata, more: Map::new() }
    }
}

impl Document {
    /// Puts entries of a flow together, sorted by group, topic and partition.
    pub(super) fn new(flow: &FlowSpec, direction: Direction, mut offsets: Vec<OffsetEntry>) -> Self {
        offsets.sort_by(|a, b| key(a).cmp(&key(b)));
        let (from, to) = (flow.from.clone(), flow.to.clone());
        let at_ms = crate::telemetry::clock::now_ms();
        Self { flow: flow.name.clone(), from, to, direction, as_of: None, at_ms, committed: None, offsets }
    }

    /// Says where committed offsets were read.
    pub(super) fn told_by(mut self, place: &'static str) -> Self {
        self.as_of = Some(place);
        self
    }

    /// Says for whom the translated offsets were committed.
    pub(super) fn committed_for(mut self, group: &str) -> Self {
        self.committed = Some(group.to_owned());
        self
    }

    /// Whether an answer is missing.
    pub(super) fn has_unknown(&self) -> bool {
        self.offsets.iter().any(|entry| entry.answer.translated_offset.is_none())
    }

    /// For people: one line an offset.
    pub(super) fn table(&self) -> String {
        let (here, there) = match self.direction {
            Direction::Forward => (&self.from, &self.to),
            Direction::Reverse => (&self.to, &self.from),
        };
        let with_groups = self.offsets.iter().any(|entry| entry.group.is_some());
        let mut header = vec![
            format!("topic on {here}"),
            "partition".to_owned(),
            "offset".to_owned(),
            format!("topic on {there}"),
            "offset".to_owned(),
            "worth".to_owned(),
        ];
        if with_groups {
            header.insert(0, "group".to_owned());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        for entry in &self.offsets {
            let answer = &entry.answer;
            let mut row = vec![
                answer.topic.to_string(),
                answer.partition.to_string(),
                answer.offset.to_string(),
                answer.translated_topic.to_string(),
                answer.translated_offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
                answer.worth.to_string(),
            ];
            if with_groups {
                row.insert(0, entry.group.clone().unwrap_or_default());
            }
            table.add_row(row);
        }
        table.trim_fmt()
    }
}

fn key(entry: &OffsetEntry) -> (Option<&str>, &str, i32) {
    (entry.group.as_deref(), entry.answer.topic.as_str(), entry.answer.partition)
}

/// What a group committed on the source, as entries.
pub(super) fn entries_of(reading: &GroupReading) -> impl Iterator<Item = OffsetEntry> {
    reading.offsets.iter().map(|offset| {
        let OffsetReading { source, target, committed, translation } = offset;
        let answer = TranslatedOffset::new(
            &source.topic,
            source.partition,
            committed.offset,
            &target.topic,
            *translation,
        );
        OffsetEntry::of_group(&reading.group, answer, &committed.metadata)
    })
}
