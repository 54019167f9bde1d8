//! `mirrormesh check`: every mistake of a topology at once.

use clap::Args;
use serde::Serialize;

use crate::config::{Loaded, Problem, ProblemSeverity, Problems};
use crate::inspect;

use super::Exit;
use super::input::TopologyArgs;
use super::output::{self, Style, count};

/// Finds every mistake in a topology.
///
/// Reports unknown keys, values that can't be, patterns that don't compile, aliases that don't exist, loops, double
/// deliveries and names that meet, each with its key, place, what is allowed and a hint. Then asks the clusters:
/// whether they answer and take the credentials, whether two aliases are one cluster, which rights are missing, and
/// whether the target takes messages as large as the source's.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 fine (warnings included), 1 problems, 2 unusable input")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    topology: TopologyArgs,
    /// Asks no cluster: looks at the file, the environment and the flags only.
    #[arg(long)]
    offline: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct CheckReport<'a> {
    pub file: String,
    pub ok: bool,
    pub errors: usize,
    pub warnings: usize,
    pub problems: &'a [Problem],
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> Exit {
    let (outcome, unusable, problems) = match args.topology.load() {
        Ok(loaded) if args.offline => {
            (summary(&loaded, "the clusters were not asked"), false, loaded.warnings)
        }
        Ok(loaded) => {
            eprintln!("asking {}", count(loaded.clients.len(), "cluster"));
            let found = match super::block_on(inspect::problems(&loaded)) {
                Ok(found) => found,
                Err(exit) => return exit,
            };
            let outcome = summary(&loaded, "the clusters were asked");
            (outcome, false, loaded.warnings.into_iter().chain(found).collect())
        }
        Err(Problems { unusable, list }) => (String::new(), unusable, list),
    };
    let errors = problems.iter().filter(|problem| problem.severity == ProblemSeverity::Error).count();
    let warnings = problems.len() - errors;
    if args.json {
        let file = args.topology.file.display().to_string();
        output::print_json(&CheckReport { file, ok: errors == 0, errors, warnings, problems: &problems });
    } else if unusable {
        output::tell(&problems);
    } else {
        let ending = if errors == 0 { "ok".to_owned() } else { count(errors, "error") };
        output::print(&text(&problems, &format!("{ending}, {}{outcome}", count(warnings, "warning"))));
    }
    match (unusable, errors) {
        (true, _) => Exit::Unusable,
        (false, 0) => Exit::Fine,
        (false, _) => Exit::Problems,
    }
}

fn text(problems: &[Problem], ending: &str) -> String {
    let style = Style::stdout();
    let mut text = String::new();
    for problem in problems {
        text.push_str(&style.problem(problem));
        text.push_str("\n\n");
    }
    text.push_str(ending);
    text
}

/// What was looked at.
fn summary(loaded: &Loaded, asked: &str) -> String {
    let topology = &loaded.topology;
    let (clusters, flows) = (count(topology.clusters.len(), "cluster"), count(topology.flows.len(), "flow"));
    format!(": {clusters}, {flows}; {asked}")
}
