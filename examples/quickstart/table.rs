//! The mesh's status as a table, redrawn in place on a terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use comfy_table::Table;
use mirrormesh::model::status::{MeshStatus, PartitionState, PartitionStatus};

/// Pause between two tables where they can't be redrawn.
const PLAIN_PAUSE: Duration = Duration::from_secs(5);

/// Draws the status again and again.
pub struct LiveTable {
    in_place: bool,
    drawn_lines: usize,
    drawn_at: Option<Instant>,
    seen: BTreeMap<(String, String), u64>,
}

/// A line of the table: one topic of one flow, its partitions together.
#[derive(Default)]
struct Row {
    remote: String,
    records: u64,
    lag_records: Option<i64>,
    latency_ms: Option<i64>,
    not_streaming: Option<String>,
}

impl LiveTable {
    /// A table for standard output.
    pub fn new() -> Self {
        Self { in_place: io::stdout().is_terminal(), drawn_lines: 0, drawn_at: None, seen: BTreeMap::new() }
    }

    /// Draws it, unless there is nothing to show yet, or it was drawn a moment ago and can't be redrawn in place.
    pub fn show(&mut self, status: &MeshStatus) -> io::Result<()> {
        let since = self.drawn_at.map(|at| at.elapsed());
        let too_soon = !self.in_place && since.is_some_and(|since| since < PLAIN_PAUSE);
        if too_soon || status.flows.iter().all(|flow| flow.topics.is_empty()) {
            return Ok(());
        }
        let text = self.render(status, since);
        let mut out = io::stdout().lock();
        if self.in_place && self.drawn_lines > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn_lines)?;
        }
        writeln!(out, "{text}")?;
        self.drawn_lines = text.lines().count();
        self.drawn_at = Some(Instant::now());
        out.flush()
    }

    /// Leaves the table as it is: the next is drawn below whatever is printed now.
    pub fn leave(&mut self) {
        self.drawn_lines = 0;
        self.drawn_at = None;
    }

    fn render(&mut self, status: &MeshStatus, since: Option<Duration>) -> String {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["flow", "topic", "copied to", "records", "rate/s", "lag", "latency", "state"]);
        for ((flow, topic), row) in rows(status) {
            let before = self.seen.insert((flow.clone(), topic.clone()), row.records);
            let rate = match (before, since) {
                (Some(before), Some(since)) => {
                    let more = row.records.saturating_sub(before) as f64;
                    format!("{:.0}", more / since.as_secs_f64())
                }
                _ => "–".to_owned(),
            };
            table.add_row([
                flow,
                topic,
                row.remote,
                row.records.to_string(),
                rate,
                shown(row.lag_records, ""),
                shown(row.latency_ms, " ms"),
                row.not_streaming.unwrap_or_else(|| "streaming".to_owned()),
            ]);
        }
        table.to_string()
    }
}

fn rows(status: &MeshStatus) -> BTreeMap<(String, String), Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for flow in &status.flows {
        for topic in &flow.topics {
            let row = rows.entry((flow.name.to_string(), topic.topic.to_string())).or_default();
            row.remote = topic.remote.to_string();
            row.not_streaming = topic.fault.as_ref().map(ToString::to_string);
        }
        for partition in &flow.partitions {
            add(rows.entry((flow.name.to_string(), partition.topic.to_string())).or_default(), partition);
        }
    }
    rows
}

fn add(row: &mut Row, partition: &PartitionStatus) {
    row.records += partition.records;
    if let Some(lag) = partition.lag_records {
        *row.lag_records.get_or_insert(0) += lag;
    }
    row.latency_ms = row.latency_ms.max(partition.latency_ms);
    if partition.state != PartitionState::Streaming {
        let reason = partition.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        row.not_streaming = Some(format!("{}{reason}", partition.state.as_str()));
    }
}

fn shown(number: Option<i64>, unit: &str) -> String {
    number.map_or_else(|| "–".to_owned(), |number| format!("{number}{unit}"))
}
