//! `mirrormesh offsets`: which offset on one side a committed offset of the other side means.
//!
//! Every command reads what it needs from the clusters by itself: no mesh has to run, and for all but a live look at the
//! source's groups the target is enough.

mod document;
mod export;
mod given;
mod groups;
mod import;
#[cfg(test)]
mod snapshot_tests;
mod translate;

use clap::{Args, Subcommand};

use self::document::Document;
use super::Exit;
use super::input::TopologyArgs;
use crate::config::{Loaded, did_you_mean};
use crate::inspect::{AsOf, FlowOffsets};
use crate::topology::FlowSpec;

const AFTER_HELP: &str = "\
An answer is worth:
  exact          every record before the offset was read, none after it
  earliest safe  no unread record lies before the offset; some after it may have been read already
  unknown        the partition was mirrored before there was a map; there is no offset then

Exit codes:
  0  every offset asked about has an answer
  1  a cluster does not answer or refuses; a topic, partition or group is not known; an answer is `unknown`
  2  unusable input: the command line, the topology file, or a flow that is not in it";

/// Translates committed offsets between the two sides of a flow.
///
/// The target alone is enough: it holds the offset map of everything mirrored to it. Source and mesh may be dead.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct OffsetsArgs {
    #[command(subcommand)]
    command: OffsetsCommand,
}

#[derive(Debug, Subcommand)]
enum OffsetsCommand {
    Translate(translate::TranslateArgs),
    Groups(groups::GroupsArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
}

/// What every one of these commands takes.
#[derive(Args, Debug)]
struct FlowArgs {
    #[command(flatten)]
    topology: TopologyArgs,
    /// Which flow: its name, or its ends as `FROM->TO`; may be left out where there is only one.
    #[arg(long, value_name = "FLOW")]
    flow: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &OffsetsArgs) -> Exit {
    match &args.command {
        OffsetsCommand::Translate(args) => translate::run(args),
        OffsetsCommand::Groups(args) => groups::run(args),
        OffsetsCommand::Export(args) => export::run(args),
        OffsetsCommand::Import(args) => import::run(args),
    }
}

impl FlowArgs {
    /// Reads the topology and finds the flow; what goes wrong is told on stderr.
    fn read(&self) -> Result<(Loaded, FlowSpec), Exit> {
        let loaded = self.topology.load_or_tell()?;
        match find_flow(&loaded, self.flow.as_deref()) {
            Ok(flow) => {
                let flow = flow.clone();
                Ok((loaded, flow))
            }
            Err(why) => {
                eprintln!("error: {why}");
                Err(Exit::Unusable)
            }
        }
    }

    /// Reads topology and maps and does `work` with them; what goes wrong is told on stderr.
    fn with_offsets<W>(&self, work: W) -> Exit
    where
        W: AsyncFnOnce(FlowOffsets) -> Result<Exit, String>,
    {
        match self.read() {
            Ok((loaded, flow)) => with_offsets(&loaded, &flow, work),
            Err(exit) => exit,
        }
    }
}

/// Reads the flow's maps and does `work` with them; what goes wrong is told on stderr.
fn with_offsets<W>(loaded: &Loaded, flow: &FlowSpec, work: W) -> Exit
where
    W: AsyncFnOnce(FlowOffsets) -> Result<Exit, String>,
{
    let outcome = super::block_on(async {
        let offsets = FlowOffsets::open(loaded, flow).await.map_err(|error| error.to_string())?;
        work(offsets).await
    });
    match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(why)) => {
            eprintln!("error: {why}");
            Exit::Problems
        }
        Err(exit) => exit,
    }
}

/// Prints a document as JSON or as a table; an unknown answer is a problem.
fn show(document: &Document, json: bool) -> Exit {
    if json {
        super::output::print_json(document);
    } else {
        super::output::print(&document.table());
    }
    if document.has_unknown() { Exit::Problems } else { Exit::Fine }
}

/// The flow that is meant; fails with what to write instead.
fn find_flow<'a>(loaded: &'a Loaded, wanted: Option<&str>) -> Result<&'a FlowSpec, String> {
    let flows = &loaded.topology.flows;
    let names = || flows.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(wanted) = wanted else {
        let mut all = flows.values();
        return match (all.next(), all.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(format!("--flow is needed, since there are several: {}", names())),
        };
    };
    let by_ends = wanted.split_once("->").map(|(from, to)| (from.trim(), to.trim()));
    let found = flows
        .values()
        .find(|flow| flow.name.as_str() == wanted || by_ends == Some((flow.from.as_str(), flow.to.as_str())));
    found.ok_or_else(|| {
        let hint = did_you_mean(wanted, flows.keys().map(|name| name.as_str()));
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("no flow is called {wanted:?} or has these ends; there are: {}{hint}", names())
    })
}

/// Tells on stderr what a reading of the source's groups lacks; returns whether that is a problem.
fn tell_missing(offsets: &FlowOffsets, as_of: &AsOf, missing: &[String]) -> bool {
    if let AsOf::Checkpoints { reason } = as_of {
        let (from, to) = (&offsets.flow().from, &offsets.flow().to);
        eprintln!(
            "note: {from} does not answer ({reason}); what groups committed there is taken from the checkpoints on {to}"
        );
    }
    for missing in missing {
        eprintln!("error: {missing}");
    }
    !missing.is_empty()
}

fn nothing_committed(flow: &FlowSpec, group: &str) -> String {
    format!("group {group} has committed nothing on {} for topics that flow {} mirrors", flow.from, flow.name)
}
