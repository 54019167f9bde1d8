//! The command line: one file a command. Data goes to stdout, talk to stderr.

mod check;
mod completions;
mod config;
mod graph;
mod input;
mod offsets;
mod output;
mod plan;
mod run;
#[cfg(test)]
mod snapshot_tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// The target of this room's log lines, for filters such as `mirrormesh::cli=debug`.
pub(crate) const LOG: &str = "mirrormesh::cli";

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well; warnings don't count.
    Fine,
    /// There are problems.
    Problems,
    /// The input can't even be read.
    Unusable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::Problems => Self::from(1),
            // The same as clap's for a command line that makes no sense.
            Exit::Unusable => Self::from(2),
        }
    }
}

const AFTER_HELP: &str = "\
Exit codes:
  0  fine, warnings included
  1  there are problems
  2  unusable input: a file that is missing or not YAML, or a command line that makes no sense

Environment:
  MIRRORMESH_<KEY>  sets a key, two underscores between its parts: MIRRORMESH_HTTP__LISTEN=off
  NO_COLOR          no colours, even on a terminal";

/// Mirrors Apache Kafka clusters in any topology.
#[derive(Debug, Parser)]
#[command(name = "mirrormesh", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Completions(completions::CompletionsArgs),
    Config(config::ConfigArgs),
    Graph(graph::GraphArgs),
    Offsets(offsets::OffsetsArgs),
    Plan(plan::PlanArgs),
    Run(run::RunArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::Config(args) => config::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Offsets(args) => offsets::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Run(args) => run::run(&args),
    };
    exit.into()
}

/// Runs a command's questions to the clusters.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Exit> {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(work);
            // What still runs are connections that nobody waits for.
            runtime.shutdown_background();
            Ok(outcome)
        }
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            Err(Exit::Problems)
        }
    }
}
