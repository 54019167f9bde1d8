//! How big the program is, and how long it takes to be there: `cargo bench --bench start`.
//!
//! How to read the figures is in `benches/README.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

const MB: f64 = 1e6;

/// A program that does nothing: what the system takes to start any. Times are compared with it.
const NOTHING: &str = "true";

/// What ends by itself and needs no cluster.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("--version", &["--version"]),
    ("config --schema", &["config", "--schema"]),
    ("check --offline", &["check", "--offline", "topologies/full-mesh.yaml"]),
];

/// Size of the binary, and how long commands take from the start of the process to its end.
#[derive(Parser)]
#[command(name = "start")]
struct Args {
    /// How often each is started.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// Another build of the program, such as `target/dist/mirrormesh`.
    #[arg(long, value_name = "BINARY")]
    binary: Option<PathBuf>,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    assert!(args.times > 0, "--times must be at least 1");
    let binary = args.binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_mirrormesh").into());
    let bytes =
        std::fs::metadata(&binary).unwrap_or_else(|error| panic!("{}: {error}", binary.display())).len();
    println!("{}: {:.1} MB", binary.display(), bytes as f64 / MB);

    let subjects: Vec<(&str, &Path, &[&str])> = std::iter::once((NOTHING, Path::new(NOTHING), &[][..]))
        .chain(COMMANDS.map(|(name, arguments)| (name, binary.as_path(), arguments)))
        .collect();
    let mut taken = vec![Vec::with_capacity(args.times); subjects.len()];
    // In turn, so that whatever else the machine does falls on all of them. The first round reads the file from disk.
    for round in 0..=args.times {
        for ((_, program, arguments), taken) in subjects.iter().zip(&mut taken) {
            let time = start(program, arguments);
            if round > 0 {
                taken.push(time);
            }
        }
    }
    println!("{:<16} {:>9} {:>9} {:>9}", "milliseconds", "least", "median", "greatest");
    let mut commands = Vec::new();
    for ((name, ..), taken) in subjects.iter().zip(&mut taken) {
        commands.push(report(name, taken));
    }
    let figures = json!({ "binary": binary, "bytes": bytes, "times": args.times, "commands": commands });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("start.json");
    let text = serde_json::to_string_pretty(&figures).expect("figures are plain data");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("{}", path.display());
}

/// How long a command takes, from before its start until its end.
fn start(program: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(Stdio::null());
    let began = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let taken = began.elapsed();
    assert!(status.success(), "{} {arguments:?} failed ({status})", program.display());
    taken
}

fn report(name: &str, taken: &mut [Duration]) -> Value {
    taken.sort_unstable();
    let ms = |index: usize| taken[index].as_secs_f64() * 1e3;
    let (least, median, greatest) = (ms(0), ms(taken.len() / 2), ms(taken.len() - 1));
    println!("{name:<16} {least:>9.2} {median:>9.2} {greatest:>9.2}");
    json!({ "command": name, "least_ms": least, "median_ms": median, "greatest_ms": greatest })
}
