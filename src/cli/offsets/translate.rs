//! `mirrormesh offsets translate`: one offset, or all that a group committed.

use clap::Args;

use super::document::{Document, OffsetEntry, entries_of};
use super::{FlowArgs, nothing_committed, show, tell_missing};
use crate::cli::Exit;
use crate::inspect::FlowOffsets;
use crate::model::TopicPartition;
use crate::offsets::{Direction, TranslatedOffset};

/// Translates one offset, or all that a group committed.
///
/// With --group what the group committed on the source is asked there; when the source does not answer, its last
/// checkpoints on the target are taken.
#[derive(Args, Debug)]
#[command(after_help = super::AFTER_HELP)]
pub(super) struct TranslateArgs {
    #[command(flatten)]
    flow: FlowArgs,
    /// Topic, by its name on the side that the offset is of.
    #[arg(long, required_unless_present = "group", requires = "partition", requires = "offset")]
    topic: Option<String>,
    /// Partition.
    #[arg(long, requires = "topic", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Offset: the next record that would be read.
    #[arg(long, requires = "topic", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Translates all offsets that this consumer group committed instead.
    #[arg(long, conflicts_with_all = ["topic", "partition", "offset"])]
    group: Option<String>,
    /// Translates from the target back to the source.
    #[arg(long)]
    reverse: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &TranslateArgs) -> Exit {
    let direction = if args.reverse { Direction::Reverse } else { Direction::Forward };
    args.flow.with_offsets(async |offsets| match (&args.group, &args.topic, args.partition, args.offset) {
        (Some(group), ..) if args.reverse => target_group(args, &offsets, group).await,
        (Some(group), ..) => source_group(args, &offsets, group).await,
        (None, Some(topic), Some(partition), Some(offset)) => {
            let partition = TopicPartition::new(topic.as_str(), partition);
            let answer =
                offsets.translate(&partition, offset, direction).map_err(|error| error.to_string())?;
            let entries = vec![OffsetEntry::bare(answer)];
            Ok(show(&Document::new(offsets.flow(), direction, entries), args.json))
        }
        _ => Err("--topic, --partition and --offset belong together".to_owned()),
    })
}

async fn source_group(args: &TranslateArgs, offsets: &FlowOffsets, group: &str) -> Result<Exit, String> {
    let read = offsets.committed(Some(group)).await.map_err(|error| error.to_string())?;
    let incomplete = tell_missing(offsets, &read.as_of, &read.missing);
    let entries: Vec<OffsetEntry> = read.readings.iter().flat_map(entries_of).collect();
    if entries.is_empty() && !incomplete {
        return Err(nothing_committed(offsets.flow(), group));
    }
    let document = Document::new(offsets.flow(), Direction::Forward, entries).told_by(read.as_of.as_str());
    let exit = show(&document, args.json);
    Ok(if incomplete { Exit::Problems } else { exit })
}

async fn target_group(args: &TranslateArgs, offsets: &FlowOffsets, group: &str) -> Result<Exit, String> {
    let names = [group.to_owned()];
    let mut committed = offsets.target().committed_offsets(&names, true).await;
    let committed = match committed.remove(group) {
        Some(Ok(committed)) => committed,
        Some(Err(error)) => return Err(error.to_string()),
        None => Vec::new(),
    };
    let mut entries = Vec::new();
    let mut incomplete = false;
    for commit in committed {
        let Some(source) = offsets.source_of(&commit.partition) else { continue };
        let Some(map) = offsets.map(source) else { continue };
        match commit.committed {
            Ok(committed) => {
                let answer = TranslatedOffset::by_map(source, map, committed.offset, Direction::Reverse);
                entries.push(OffsetEntry::of_group(group, answer, &committed.metadata));
            }
            Err(error) => {
                eprintln!("error: group {group}, {}: {error}", commit.partition);
                incomplete = true;
            }
        }
    }
    if entries.is_empty() && !incomplete {
        let flow = offsets.flow();
        return Err(format!(
            "group {group} has committed nothing on {} for topics that flow {} has offset maps of",
            flow.to, flow.name
        ));
    }
    let document = Document::new(offsets.flow(), Direction::Reverse, entries).told_by("target");
    let exit = show(&document, args.json);
    Ok(if incomplete { Exit::Problems } else { exit })
}
