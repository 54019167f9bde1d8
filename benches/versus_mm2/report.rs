//! The figures as tables for people and JSON for programs.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::args::Args;
use crate::copy_proxy::Floor;
use crate::measure::Measured;
use crate::subject::Subject;
use crate::support::{self, procfs};
use crate::targets::{Target, ratio};

/// What a run found out.
pub struct Report {
    /// The mirrors' figures, in order.
    pub measured: Vec<Measured>,
    /// The copy proxy's.
    pub floor: Option<Floor>,
    /// The judged figures.
    pub targets: Vec<Target>,
    /// What went wrong, by workload and subject.
    pub failures: Vec<String>,
}

impl Report {
    /// The tables.
    pub fn tables(&self) -> String {
        let mut text = format!("{}\n", self.figures());
        if let Some(floor) = &self.floor {
            text += &format!(
                "copy proxy: {:.2} CPU-s/GB uncompressed, at {:.0} MB/s\n",
                floor.cpu_seconds_per_gigabyte(),
                floor.bytes as f64 / 1e6 / floor.seconds
            );
        }
        if !self.targets.is_empty() {
            text += &format!("\n{}\n", self.judged());
        }
        for failure in &self.failures {
            text += &format!("FAILED {failure}\n");
        }
        text
    }

    fn figures(&self) -> Table {
        let mut table = table(&[
            "workload",
            "subject",
            "CPU-s/GB",
            "2nd half",
            "MB/CPU-s",
            "× MM2",
            "MB/s",
            "peak RSS MiB",
            "start s",
            "start CPU-s",
            "new topic s",
            "p50 ms",
            "p99 ms",
            "source p99",
        ]);
        for measured in &self.measured {
            let mm2 = self.measured.iter().find(|other| {
                other.workload == measured.workload && other.subject == Subject::Mm2.to_string()
            });
            let latency = measured.latency;
            table.add_row([
                measured.workload.clone(),
                measured.subject.clone(),
                format!("{:.2}", measured.course.all.cpu_seconds_per_gigabyte()),
                format!("{:.2}", measured.course.second_half.cpu_seconds_per_gigabyte()),
                format!("{:.1}", measured.course.second_half.megabytes_per_cpu_second()),
                optional(mm2.map(|mm2| ratio(measured, mm2)), 1),
                format!("{:.0}", measured.course.all.megabytes_per_second()),
                format!("{:.0}", measured.peak_resident_bytes as f64 / f64::from(1 << 20)),
                format!("{:.2}", measured.course.start_seconds),
                format!("{:.2}", measured.course.start_cpu_seconds),
                optional(measured.new_topic_seconds, 2),
                optional(latency.map(|latency| latency.p50_ms), 1),
                optional(latency.map(|latency| latency.p99_ms), 1),
                optional(latency.map(|latency| latency.source_p99_ms), 1),
            ]);
        }
        right(table, 2..14)
    }

    fn judged(&self) -> Table {
        let mut table = table(&["workload", "subject", "figure", "wanted", "measured", "met"]);
        for target in &self.targets {
            table.add_row([
                target.workload.as_str(),
                target.subject.as_str(),
                target.figure,
                target.wanted.as_str(),
                target.measured.as_str(),
                if target.met { "met" } else { "NOT MET" },
            ]);
        }
        right(table, 4..5)
    }

    /// Writes `target/versus_mm2.json`; returns its path.
    pub fn write_json(&self, args: &Args, load_before: &str) -> PathBuf {
        let report = json!({
            "settings": { "bytes": args.bytes(), "batch_bytes": args.batch },
            "machine": {
                "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
                "load_before": load_before,
                "load_after": procfs::load_averages(),
            },
            "measured": self.measured,
            "copy_proxy": self.floor,
            "targets": self.targets,
            "failures": self.failures,
        });
        support::write_json("versus_mm2", &report)
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

fn right(mut table: Table, columns: std::ops::Range<usize>) -> Table {
    for column in columns {
        let column = table.column_mut(column).expect("the header has so many columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn optional(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
}
