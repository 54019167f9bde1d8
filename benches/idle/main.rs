//! Ten thousand partitions in one process, with nothing to do: `cargo bench --bench idle`.
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
#[expect(dead_code, reason = "shared by the benches; here a part of it is used")]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use common::{Cluster, KafkaClient, MirrorProcess, wait_for};
use support::ends::Ends;
use support::fill::send;
use support::procfs;

const ALIAS: &str = "source";
const PARTITIONS: i32 = 100;
/// Topics created by one request: a thousand partitions, well within what a controller takes.
const TOPICS_AT_ONCE: usize = 10;
const LONGEST: Duration = Duration::from_secs(300);
const MIB: f64 = (1 << 20) as f64;

/// Mirrors many partitions that nobody writes to.
#[derive(Debug, Parser)]
#[command(name = "idle")]
struct Args {
    /// Topics of 100 partitions each.
    #[arg(long, default_value_t = 100)]
    topics: usize,
    /// Seconds over which idle CPU is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The flow's engine: `passthrough` or `records`.
    #[arg(long, default_value = "passthrough")]
    engine: String,
    /// What `cargo bench` adds to every bench's arguments.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let runtime = Runtime::new().expect("a runtime can be built");
    eprintln!("starting two clusters");
    let [source, target] = ["source", "target"].map(|name| support::broker(name).start_blocking());
    let partitions = args.topics * usize::try_from(PARTITIONS).expect("a hundred");
    eprintln!("creating {partitions} partitions on both");
    let prefix = format!("{ALIAS}.");
    runtime.block_on(async {
        tokio::join!(create(source.client(), args.topics, ""), create(target.client(), args.topics, &prefix))
    });
    for (cluster, prefix) in [(&source, ""), (&target, prefix.as_str())] {
        for number in 0..args.topics {
            Ends::new(cluster.client(), &name(prefix, number), PARTITIONS).await_all(LONGEST);
        }
    }

    let load_before = procfs::load_averages();
    let yaml = topology(&source, &target, &[format!("engine: {}", args.engine)]);
    let started = Instant::now();
    let mirror = MirrorProcess::start(&yaml, &[]);
    let streaming = all_streaming(&runtime, &mirror, partitions, started);
    let start_cpu = procfs::cpu_seconds(mirror.pid());
    eprintln!("all stream; now {} s of nothing", args.seconds);
    // What the start left behind is over soon; its positions are saved within a second.
    thread::sleep(Duration::from_secs(5));
    let (cpu, since) = (procfs::cpu_seconds(mirror.pid()), Instant::now());
    thread::sleep(Duration::from_secs(args.seconds));
    let idle = (procfs::cpu_seconds(mirror.pid()) - cpu) / since.elapsed().as_secs_f64() * 100.0;
    let resident = mirror.resident_bytes();
    let woken = wake(&source, &target, &mirror);
    let peak = procfs::peak_resident_bytes(mirror.pid());
    assert_eq!(runtime.block_on(mirror.terminate()), Some(0), "{}", mirror.output());

    let seconds = streaming.as_secs_f64();
    println!("{partitions} partitions");
    println!(
        "  all streaming after {seconds:.2} s ({start_cpu:.2} CPU-s); wanted < 10 s: {}",
        met(seconds < 10.0)
    );
    println!("  idle: {idle:.2} % of a core; wanted < 5 %: {}", met(idle < 5.0));
    let mib = resident as f64 / MIB;
    println!("  RSS {mib:.0} MiB; wanted < 200 MB: {}", met(resident < 200_000_000));
    println!("  peak RSS {:.0} MiB", peak as f64 / MIB);
    println!(
        "  a record in each of {PARTITIONS} idle partitions: all there after {:.3} s",
        woken.as_secs_f64()
    );
    let figures = json!({
        "engine": args.engine,
        "partitions": partitions,
        "streaming_seconds": seconds,
        "start_cpu_seconds": start_cpu,
        "idle_cpu_percent": idle,
        "resident_bytes": resident,
        "peak_resident_bytes": peak,
        "wake_seconds": woken.as_secs_f64(),
        "load_before": load_before,
        "load_after": procfs::load_averages(),
    });
    println!("{}", support::write_json("idle", &figures).display());
}

fn topology(source: &Cluster, target: &Cluster, more: &[String]) -> String {
    support::topology(ALIAS, source.bootstrap(), target.bootstrap(), &["idle-.*".to_owned()], more)
}

fn name(prefix: &str, number: usize) -> String {
    format!("{prefix}idle-{number:03}")
}

/// Creates the topics of one side.
async fn create(client: &KafkaClient, topics: usize, prefix: &str) {
    let names: Vec<String> = (0..topics).map(|number| name(prefix, number)).collect();
    let admin = client.admin();
    let options = AdminOptions::new().operation_timeout(Some(LONGEST)).request_timeout(Some(LONGEST));
    for chunk in names.chunks(TOPICS_AT_ONCE) {
        let new = chunk.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        let new: Vec<_> = new.collect();
        let results = admin.create_topics(&new, &options).await.expect("topics can be created");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("{name} can't be created: {code}"));
        }
    }
}

/// How long it takes from `started` until `/status` calls every partition `streaming`.
fn all_streaming(runtime: &Runtime, mirror: &MirrorProcess, partitions: usize, started: Instant) -> Duration {
    let all = async || {
        mirror.assert_running();
        let status = mirror.status().await?;
        let taken = started.elapsed();
        let states = status["flows"][0]["partitions"].as_array().map_or(&[][..], Vec::as_slice);
        let streaming = states.iter().filter(|partition| is_streaming(partition)).count();
        if streaming == partitions { Ok(taken) } else { Err(format!("{streaming} of {partitions} do")) }
    };
    runtime.block_on(wait_for("all partitions to stream", all))
}

fn is_streaming(partition: &Value) -> bool {
    partition["state"] == "streaming"
}

/// Writes a record to each partition of a topic and returns how long it took until all were on the target.
fn wake(source: &Cluster, target: &Cluster, mirror: &MirrorProcess) -> Duration {
    let topic = name("", 0);
    let producer: ThreadedProducer<_> = source.client().config().create().expect("a producer can be built");
    let mut ends = Ends::new(target.client(), &name(&format!("{ALIAS}."), 0), PARTITIONS);
    assert_eq!(ends.total(), 0, "nothing was written yet");
    let began = Instant::now();
    for partition in 0..PARTITIONS {
        send(
            &producer,
            BaseRecord::to(&topic).partition(partition).key(b"k".as_slice()).payload(b"v".as_slice()),
        );
    }
    producer.flush(LONGEST).expect("the records can be written");
    while ends.total() < u64::try_from(PARTITIONS).expect("a hundred") {
        mirror.assert_running();
        assert!(began.elapsed() < LONGEST, "{} of {PARTITIONS} records after {LONGEST:?}", ends.total());
        thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

fn met(is: bool) -> &'static str {
    if is { "met" } else { "NOT MET" }
}
