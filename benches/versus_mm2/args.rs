//! The command line.

use clap::{Parser, ValueEnum};

use crate::subject::Subject;
use crate::support::parse_size;
use crate::workload::Workload;

/// Mirrors the same data with MirrorMaker 2 and with MirrorMesh, and compares what it costs.
#[derive(Debug, Parser)]
#[command(name = "versus_mm2")]
pub struct Args {
    /// Keys and values of each workload, before compression.
    #[arg(long, default_value = "1GiB", value_parser = parse_size)]
    pub size: u64,
    /// Upper limit of the batches in the source's topics, before compression.
    #[arg(long, default_value = "128KiB", value_parser = parse_size)]
    pub batch: u64,
    /// Only these workloads; all unless given.
    #[arg(long)]
    pub workload: Vec<Workload>,
    /// Only these subjects; all unless given.
    #[arg(long)]
    pub subject: Vec<Subject>,
    /// A quick look: 64 MiB of each workload. Its figures of MirrorMaker 2 are mostly those of a cold JVM.
    #[arg(long)]
    pub quick: bool,
    /// What `cargo bench` adds to every bench's arguments.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Data of a quick look.
const QUICK_BYTES: u64 = 64 << 20;

impl Args {
    /// How much data each workload has.
    pub fn bytes(&self) -> u64 {
        if self.quick { QUICK_BYTES } else { self.size }
    }

    /// What to mirror.
    pub fn workloads(&self) -> Vec<Workload> {
        wanted(&self.workload)
    }

    /// Who mirrors it.
    pub fn subjects(&self) -> Vec<Subject> {
        wanted(&self.subject)
    }
}

fn wanted<T: ValueEnum + Clone>(given: &[T]) -> Vec<T> {
    if given.is_empty() { T::value_variants().to_vec() } else { given.to_vec() }
}
