//! Two builds of MirrorMesh over the same data, in turn: `cargo bench --bench versus_build -- --other PATH`.
//!
//! How to read the figures is in `benches/README.md`.

#[path = "../../tests/common/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness is whole in tests/kafka, which tests it; here a part of it is used"
)]
mod common;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "versus_mm2 uses it all; here a part of it is used")]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;
use tokio::runtime::Runtime;

use common::{CEILING, Cluster, MirrorProcess};
use support::ends::Ends;
use support::fill::{Contents, Filled, fill};
use support::procfs;
use support::stretch::{Stretch, follow};

const TOPIC: &str = "bench";
const PARTITIONS: i32 = 8;
/// As in `versus_mm2`.
const VALUE_BYTES: usize = 1_000;
const BATCH_BYTES: u64 = 128 << 10;

/// Mirrors the same data with this build and with another one, in turn, and compares what it costs.
#[derive(Debug, Parser)]
#[command(name = "versus_build")]
struct Args {
    /// The other build's binary.
    #[arg(long)]
    other: PathBuf,
    /// Runs of each.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Keys and values, before compression.
    #[arg(long, default_value = "1GiB", value_parser = support::parse_size)]
    size: u64,
    /// `passthrough` or `records`.
    #[arg(long, default_value = "passthrough")]
    engine: String,
    /// `lz4` or `none`.
    #[arg(long, default_value = "lz4")]
    codec: String,
    /// What `cargo bench` adds to every bench's arguments.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one run cost.
struct Cost {
    second_half: Stretch,
    peak_resident_bytes: u64,
    start_seconds: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let began = Instant::now();
    let say = |what: &str| eprintln!("[{:4} s] {what}", began.elapsed().as_secs());
    let runtime = Runtime::new().expect("a runtime can be built");
    say("starting two clusters");
    let [source, target] = ["source", "target"].map(|name| support::broker(name).start_blocking());
    runtime.block_on(source.client().create_topic(TOPIC, PARTITIONS, &[]));
    Ends::new(source.client(), TOPIC, PARTITIONS).await_all(CEILING);
    let codec = if args.codec == "none" { "none" } else { "lz4" };
    let contents = Contents {
        partitions: PARTITIONS,
        value_bytes: VALUE_BYTES,
        codec,
        bytes: args.size,
        batch_bytes: BATCH_BYTES,
        transactions: false,
    };
    let filled = fill(source.client(), TOPIC, &contents);
    let this = Path::new(env!("CARGO_BIN_EXE_mirrormesh"));
    let mut costs = [Vec::new(), Vec::new()];
    for pair in 0..args.pairs {
        for (build, binary) in [args.other.as_path(), this].into_iter().enumerate() {
            say(&format!("pair {}: {}", pair + 1, ["the other build", "this build"][build]));
            let alias = format!("run-{pair}-{build}");
            let topology = topology(&args, &alias, &source, &target);
            costs[build].push(run(&runtime, binary, &topology, &alias, &target, filled));
        }
    }
    report(&args, &costs);
    ExitCode::SUCCESS
}

fn topology(args: &Args, alias: &str, source: &Cluster, target: &Cluster) -> String {
    let mut more = vec![format!("engine: {}", args.engine), "isolation: read_uncommitted".to_owned()];
    if args.engine == "records" {
        more.push(format!("codec: {}", args.codec));
    }
    support::topology(alias, source.bootstrap(), target.bootstrap(), &[TOPIC.to_owned()], &more)
}

/// One mirror, from its start until everything is there; fails if the copy has another count.
fn run(
    runtime: &Runtime,
    binary: &Path,
    topology: &str,
    alias: &str,
    target: &Cluster,
    filled: Filled,
) -> Cost {
    let remote = format!("{alias}.{TOPIC}");
    let mut ends = Ends::new(target.client(), &remote, PARTITIONS);
    let started = Instant::now();
    let mirror = MirrorProcess::prepare(topology, &[]).of(binary);
    mirror.launch();
    let course = follow(mirror.pid(), started, || mirror.assert_running(), &mut ends, filled);
    let peak_resident_bytes = procfs::peak_resident_bytes(mirror.pid());
    runtime.block_on(async {
        assert_eq!(mirror.terminate().await, Some(0), "{}", mirror.output());
        target.client().delete_topic(&remote).await;
    });
    Cost { second_half: course.second_half, peak_resident_bytes, start_seconds: course.start_seconds }
}

/// A column by name.
type Figure = (&'static str, fn(&Cost) -> f64);

/// Least, median and greatest.
fn spread(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [figures[0], figures[figures.len() / 2], figures[figures.len() - 1]]
}

fn report(args: &Args, costs: &[Vec<Cost>; 2]) {
    let figures: [Figure; 4] = [
        ("CPU-s/GB, 2nd half", |cost| cost.second_half.cpu_seconds_per_gigabyte()),
        ("MB/s, 2nd half", |cost| cost.second_half.megabytes_per_second()),
        ("peak RSS MiB", |cost| cost.peak_resident_bytes as f64 / f64::from(1 << 20)),
        ("start s", |cost| cost.start_seconds),
    ];
    let mut rows = Vec::new();
    println!("{:<20} {:>27} {:>27} {:>8}", "", "other: min median max", "this: min median max", "ratio");
    for (name, of) in figures {
        let [other, this] = [0, 1].map(|build| spread(costs[build].iter().map(of).collect()));
        let shown = |[least, median, most]: [f64; 3]| format!("{least:.3} {median:.3} {most:.3}");
        println!("{name:<20} {:>27} {:>27} {:>8.3}", shown(other), shown(this), this[1] / other[1]);
        rows.push(json!({ "figure": name, "other": other, "this": this, "ratio": this[1] / other[1] }));
    }
    let figures = json!({ "engine": args.engine, "codec": args.codec, "pairs": args.pairs, "figures": rows });
    println!("{}", support::write_json("versus_build", &figures).display());
}
