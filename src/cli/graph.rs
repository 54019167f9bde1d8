//! `mirrormesh graph`: the mesh as a picture.

use clap::{Args, ValueEnum};

use crate::topology::graph;

use super::Exit;
use super::input::TopologyArgs;
use super::output;

/// Draws the mesh, with the paths that topics take.
///
/// Examples of topics are sent along the flows: names that the patterns speak of, or `orders`.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 fine (warnings included), 1 problems, 2 unusable input")]
pub(super) struct GraphArgs {
    #[command(flatten)]
    topology: TopologyArgs,
    /// What to draw for.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A terminal.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid, in Markdown.
    Mermaid,
}

/// Runs the command.
pub(super) fn run(args: &GraphArgs) -> Exit {
    let loaded = match args.topology.load_or_tell() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let draw = match args.format {
        Format::Text => graph::text,
        Format::Dot => graph::dot,
        Format::Mermaid => graph::mermaid,
    };
    output::print(&draw(&loaded.topology, &loaded.routes));
    Exit::Fine
}
