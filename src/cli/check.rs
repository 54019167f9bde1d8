//! `mirrormesh check`: every mistake of a topology at once.

use clap::Args;
use serde::Serialize;

use crate::config::{Loaded, Problem, Problems, Severity};

use super::Exit;
use super::input::TopologyArgs;
use super::output::{self, Style, count};

/// Finds every mistake in a topology.
///
/// Reports unknown keys, values that can't be, patterns that don't compile, aliases that don't exist, loops, double
/// deliveries and names that meet, each with its key, place, what is allowed and a hint.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 fine (warnings included), 1 problems, 2 unusable input")]
pub struct CheckArgs {
    #[command(flatten)]
    topology: TopologyArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> Exit {
    match args.topology.load() {
        Ok(loaded) => {
            report(args, &loaded.warnings);
            if !args.json {
                output::print(&summary(&loaded));
            }
            Exit::Fine
        }
        Err(Problems { unusable, list }) => {
            if unusable && !args.json {
                output::tell(&list);
            } else {
                report(args, &list);
            }
            if unusable { Exit::Unusable } else { Exit::Problems }
        }
    }
}

fn report(args: &CheckArgs, problems: &[Problem]) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    if args.json {
        let file = args.topology.file.display().to_string();
        return output::print_json(&Report { file, ok: errors == 0, errors, warnings, problems });
    }
    if problems.is_empty() {
        return;
    }
    let style = Style::stdout();
    let mut text = String::new();
    for problem in problems {
        text.push_str(&style.problem(problem));
        text.push_str("\n\n");
    }
    if errors > 0 {
        text.push_str(&format!("{}, {}\n", count(errors, "error"), count(warnings, "warning")));
    }
    output::print(&text);
}

fn summary(loaded: &Loaded) -> String {
    let topology = &loaded.topology;
    let warnings = match loaded.warnings.len() {
        0 => String::new(),
        some => format!(", {}", count(some, "warning")),
    };
    format!(
        "ok: {}, {}{warnings}",
        count(topology.clusters.len(), "cluster"),
        count(topology.flows.len(), "flow")
    )
}
