//! `mirrormesh offsets export`: all groups' offsets as one document.

use clap::Args;

use super::FlowArgs;
use super::document::{Document, entries_of};
use crate::cli::{Exit, output};
use crate::offsets::Direction;

/// Prints what groups committed on the source, translated, as one JSON document.
///
/// For programs that keep offsets outside Kafka, and as a record of where every group stood. Each entry has `group`,
/// `topic`, `partition`, `offset` and `metadata` as on the source, and `translated_topic`, `translated_offset` and
/// `worth` for the target. `import` reads the document again.
#[derive(Args, Debug)]
#[command(after_help = super::AFTER_HELP)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    flow: FlowArgs,
    /// Only this group, also one that the flow does not follow.
    #[arg(long)]
    group: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &ExportArgs) -> Exit {
    args.flow.with_offsets(async |offsets| {
        let read = offsets.committed(args.group.as_deref()).await.map_err(|error| error.to_string())?;
        let incomplete = super::tell_missing(&offsets, &read.as_of, &read.missing);
        let entries: Vec<_> = read.readings.iter().flat_map(entries_of).collect();
        if let Some(group) = args.group.as_ref().filter(|_| entries.is_empty() && !incomplete) {
            return Err(super::nothing_committed(offsets.flow(), group));
        }
        let document =
            Document::new(offsets.flow(), Direction::Forward, entries).told_by(read.as_of.as_str());
        output::print_json(&document);
        Ok(if incomplete || document.has_unknown() { Exit::Problems } else { Exit::Fine })
    })
}
