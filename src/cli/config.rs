//! `mirrormesh config`: what can be set, and what is in effect.

use std::path::PathBuf;

use clap::Args;

use crate::config::{EffectiveValue, json_schema};

use super::Exit;
use super::input::TopologyArgs;
use super::output;

/// Prints the schema of topology files, or the configuration in effect.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 fine (warnings included), 1 problems, 2 unusable input")]
pub(super) struct ConfigArgs {
    /// Prints the JSON Schema of a topology file, for editors.
    #[arg(long, required_unless_present = "show", conflicts_with = "show")]
    schema: bool,
    /// Prints every value in effect and where it came from; secrets are hidden.
    #[arg(long, requires = "file")]
    show: bool,
    /// Prints JSON.
    #[arg(long, conflicts_with = "schema")]
    json: bool,
    /// Topology file (YAML).
    file: Option<PathBuf>,
    /// Sets a key, over file and environment; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::input::key_value)]
    set: Vec<(String, String)>,
}

/// Runs the command.
pub(super) fn run(args: &ConfigArgs) -> Exit {
    let Some(file) = args.file.clone().filter(|_| args.show) else {
        output::print_json(&json_schema());
        return Exit::Fine;
    };
    let topology = TopologyArgs { file, set: args.set.clone() };
    let loaded = match topology.load_or_tell() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    if args.json {
        output::print_json(&loaded.effective);
    } else {
        output::print(&table(&loaded.effective));
    }
    Exit::Fine
}

/// One line a value: key, value, and where it came from.
fn table(entries: &[EffectiveValue]) -> String {
    let rows: Vec<(String, String)> = entries
        .iter()
        .map(|entry| (format!("{} = {}", entry.key, entry.value), entry.origin.to_string()))
        .collect();
    // Long values, such as lists of patterns, don't push the origins of the others off the screen.
    const WIDEST: usize = 72;
    let width =
        rows.iter().map(|(left, _)| left.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    rows.iter().map(|(left, origin)| format!("{left:<width$}  # {origin}\n")).collect()
}
