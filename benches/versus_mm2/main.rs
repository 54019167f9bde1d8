//! MirrorMaker 2 and MirrorMesh over the same data, on real brokers, in one go: `cargo bench --bench versus_mm2`.
//!
//! How to read the figures is in `benches/README.md`.

mod args;
#[path = "../../tests/common/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness is whole in tests/kafka, which tests it; here a part of it is used"
)]
mod common;
mod copy_proxy;
mod latency;
mod measure;
mod mm2;
mod raw_fetch;
mod report;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod targets;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::runtime::Runtime;

use args::Args;
use common::{CEILING, Cluster};
use report::Report;
use subject::{Job, Subject};
use support::ends::Ends;
use support::fill::fill;
use support::procfs;
use workload::Workload;

/// Where mirrored bytes and copied bytes are the same: nothing is compressed.
pub const FLOOR_WORKLOAD: Workload = Workload::OneKPlain;

fn main() -> ExitCode {
    if let [_, part, upstream] = &std::env::args().collect::<Vec<_>>()[..]
        && part == copy_proxy::PART
    {
        copy_proxy::run(upstream).expect("the copy proxy works");
    }
    let args = Args::parse();
    let load_before = procfs::load_averages();
    let mut report = run(&args);
    report.targets = targets::judge(&report.measured, report.floor.as_ref());
    println!("{}", report.tables());
    println!("{}", report.write_json(&args, &load_before).display());
    // A target that is missed is a result; a mirror that failed is not.
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All workloads, all subjects; a subject that fails doesn't stop the next.
fn run(args: &Args) -> Report {
    let began = Instant::now();
    let say = |what: &str| eprintln!("[{:4} s] {what}", began.elapsed().as_secs());
    let runtime = Runtime::new().expect("a runtime can be built");
    say("starting two clusters");
    let [source, target] = ["source", "target"].map(|name| support::broker(name).start_blocking());
    let mut report = Report { measured: vec![], floor: None, targets: vec![], failures: vec![] };
    for workload in args.workloads() {
        let contents = workload.contents(args.bytes(), args.batch);
        let topic = format!("bench-{workload}");
        say(&format!("{workload}: filling {topic} with {} MiB", contents.bytes >> 20));
        runtime.block_on(source.client().create_topic(&topic, contents.partitions, &[]));
        Ends::new(source.client(), &topic, contents.partitions).await_all(CEILING);
        let filled = fill(source.client(), &topic, &contents);
        let stored = stored_bytes(&source, &topic);
        let smaller = filled.bytes as f64 / stored as f64;
        say(&format!("{workload}: {} records, {smaller:.2} times as large as in the log", filled.records));
        for subject in args.subjects() {
            if subject == Subject::Copy && workload != FLOOR_WORKLOAD {
                continue;
            }
            say(&format!("{workload}: {subject}"));
            let attempt = AssertUnwindSafe(|| {
                if subject == Subject::Copy {
                    let address = source.broker().address();
                    report.floor = Some(copy_proxy::measure(&address, &topic, contents.partitions));
                    return;
                }
                let mut topics = vec![topic.clone()];
                if workload.with_latency() {
                    topics.push(format!("bench-latency-{subject}"));
                }
                let alias = format!("{subject}-{workload}");
                let job = Job { source: &source, target: &target, alias, topics, workload };
                report.measured.push(measure::mirror(&runtime, subject, &job, filled, contents.partitions));
            });
            if catch_unwind(attempt).is_err() {
                report.failures.push(format!("{workload}: {subject}; what happened is told above"));
            }
        }
        runtime.block_on(source.client().delete_topic(&topic));
    }
    say("done");
    report
}

/// Bytes of a topic's log segments on disk.
fn stored_bytes(cluster: &Cluster, topic: &str) -> u64 {
    let folders = std::fs::read_dir(cluster.data_dir()).expect("the broker's data can be listed").flatten();
    let of_topic = folders.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.rsplit_once('-').is_some_and(|(name, _)| name == topic)
    });
    let files = of_topic.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    segments.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
