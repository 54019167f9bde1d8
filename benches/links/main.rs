//! Mirroring over a link with a long round trip: `cargo bench --bench links`.
//!
//! How to read the figures is in `benches/README.md`.

mod carrier;
#[path = "../../tests/common/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness is whole in tests/kafka, which tests it; here a part of it is used"
)]
mod common;
mod single_records;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared by the benches; here a part of it is used")]
mod support;
mod throughput;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;
use tokio::runtime::Runtime;

use common::{Cluster, Listener};
use support::{parse_size, procfs};

/// One way; the round trip is twice that.
pub const DELAY: Duration = Duration::from_millis(50);

/// Mirrors over a link with a round trip of 100 ms.
#[derive(Debug, Parser)]
#[command(name = "links")]
struct Args {
    /// Keys and values of the topic that is mirrored for throughput.
    #[arg(long, default_value = "512MiB", value_parser = parse_size)]
    size: u64,
    /// Upper limit of its batches.
    #[arg(long, default_value = "128KiB", value_parser = parse_size)]
    batch: u64,
    /// Seconds of single-record batches.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Only these parts; all unless given.
    #[arg(long)]
    part: Vec<Part>,
    /// The flow's engine: `passthrough` or `records`.
    #[arg(long, default_value = "passthrough")]
    engine: String,
    /// What `cargo bench` adds to every bench's arguments.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the delaying proxy itself can carry.
    Proxy,
    /// Throughput of one partition with the delay between source and mirror.
    Source,
    /// Throughput of one partition with the delay between mirror and target.
    Target,
    /// Lag under 2,500 single-record batches a second, with the delay between mirror and target.
    Small,
}

/// Where a mirror runs, and how.
pub struct Site {
    /// Where records come from, behind a proxy at [`Listener::Link`].
    pub source: Cluster,
    /// Where they go, likewise.
    pub target: Cluster,
    /// Lines for the flow.
    pub more: Vec<String>,
    /// Drives the harness.
    pub runtime: Runtime,
}

impl Site {
    /// A topology with the clusters reached through their proxies.
    pub fn topology(&self, alias: &str, topic: &str) -> String {
        let [source, target] =
            [&self.source, &self.target].map(|cluster| cluster.bootstrap_at(Listener::Link));
        support::topology(alias, &source, &target, &[topic.to_owned()], &self.more)
    }
}

fn main() {
    let args = Args::parse();
    let wanted = |part| args.part.is_empty() || args.part.contains(&part);
    let mut figures = json!({ "engine": args.engine, "round_trip_ms": 2 * DELAY.as_millis(), "load_before": procfs::load_averages() });
    if wanted(Part::Proxy) {
        let rate = carrier::megabytes_per_second();
        println!("the proxy itself, one connection, 100 ms round trip: {rate:.0} MB/s");
        figures["proxy_megabytes_per_second"] = json!(rate);
    }
    eprintln!("starting two clusters");
    let [source, target] = ["source", "target"].map(|name| support::broker(name).proxied().start_blocking());
    let mut more = vec![format!("engine: {}", args.engine)];
    if args.engine == "records" {
        // The limits below are those of uncompressed batches.
        more.push("codec: none".to_owned());
    }
    let site = Site { source, target, more, runtime: Runtime::new().expect("a runtime can be built") };
    let sides = [Part::Source, Part::Target].map(|side| wanted(side).then_some(side));
    if sides.iter().any(Option::is_some) {
        let topic = throughput::Topic::fill(&site, args.size, args.batch);
        let near = topic.mirror(&site, "near", "no delay");
        figures["near_megabytes_per_second"] = json!(near);
        if wanted(Part::Source) {
            site.source.link(|proxy| proxy.set_latency(DELAY));
            let far = topic.mirror(&site, "far-source", "100 ms round trip to the source");
            site.source.link(|proxy| proxy.set_latency(Duration::ZERO));
            println!(
                "  wanted: 100 MB/s, or what there was without delay if that is less: {}",
                met(far >= near.min(100.0))
            );
            figures["source_megabytes_per_second"] = json!(far);
        }
        if wanted(Part::Target) {
            site.target.link(|proxy| proxy.set_latency(DELAY));
            let far = topic.mirror(&site, "far-target", "100 ms round trip to the target");
            site.target.link(|proxy| proxy.set_latency(Duration::ZERO));
            let allowed = throughput::allowed_megabytes_per_second();
            let wanted = near.min(0.8 * allowed);
            println!(
                "  wanted: 80 % of {allowed:.0} MB/s (5 batches of 1 MiB per round trip): {}",
                met(far >= wanted)
            );
            figures["target_megabytes_per_second"] = json!(far);
            figures["target_allowed_megabytes_per_second"] = json!(allowed);
        }
    }
    if wanted(Part::Small) {
        site.target.link(|proxy| proxy.set_latency(DELAY));
        let lags = single_records::lags(&site, args.seconds);
        figures["single_record_batches_lag_seconds"] = json!(lags);
    }
    figures["load_after"] = json!(procfs::load_averages());
    println!("{}", support::write_json("links", &figures).display());
}

/// How a judged figure is told.
pub fn met(is: bool) -> &'static str {
    if is { "met" } else { "NOT MET" }
}
