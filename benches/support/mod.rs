//! What the benches share: data, filled topics, and figures of processes.

pub mod data;
pub mod ends;
pub mod fill;
pub mod procfs;
pub mod stretch;

use std::path::{Path, PathBuf};

use crate::common::{Cluster, ClusterBuilder};

/// The brokers' JVM: a bounded heap, and all compiler tiers, unlike in tests, where a quick start matters more.
pub const BROKER_JVM: &[&str] = &["-Xmx1g", "-XX:TieredStopAtLevel=4"];

/// A cluster of one broker, as all benches use it: where the harness is hasty for the tests' sake, Kafka's defaults.
pub fn broker(name: &str) -> ClusterBuilder {
    Cluster::builder(name)
        .jvm(BROKER_JVM)
        .property("log.retention.check.interval.ms", 300_000)
        .property("log.cleaner.backoff.ms", 15_000)
        .property("broker.heartbeat.interval.ms", 2_000)
        // Busy for seconds is not dead, with all on the same cores.
        .property("broker.session.timeout.ms", 30_000)
        // A topic that was measured goes at once and makes room.
        .property("log.segment.delete.delay.ms", 100)
}

/// A topology of one flow, called `bench`, to a cluster `target`; `more` are further keys of the flow.
///
/// Everything is at its default but heartbeats, which are off: there is nothing else in the topics measured.
pub fn topology(alias: &str, source: &str, target: &str, topics: &[String], more: &[String]) -> String {
    let mut yaml = format!(
        "mesh: bench\n\
         clusters:\n  {alias}:\n    bootstrap: ['{source}']\n  target:\n    bootstrap: ['{target}']\n\
         flows:\n  bench:\n    from: {alias}\n    to: target\n    topics: ['{}']\n    \
         heartbeats: {{ enabled: false }}\n",
        topics.join("', '")
    );
    for line in more {
        yaml += &format!("    {line}\n");
    }
    yaml
}

/// Writes a bench's figures to `target/NAME.json`; returns the path.
pub fn write_json(name: &str, figures: &serde_json::Value) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(format!("{name}.json"));
    let text = serde_json::to_string_pretty(figures).expect("figures are plain data");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// `512MiB`, `2GiB` or a plain number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("{other} is none of KiB, MiB, GiB")),
    };
    digits.parse::<u64>().map(|number| number * unit).map_err(|error| error.to_string())
}
