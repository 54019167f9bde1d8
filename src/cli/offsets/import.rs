//! `mirrormesh offsets import`: translates a document of offsets, and commits them on the target if asked to.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::document::{Document, OffsetEntry};
use super::given::{self, GivenOffset};
use super::{FlowArgs, show, with_offsets};
use crate::cli::{Exit, output};
use crate::inspect::{FlowOffsets, WantedCommit, commit};
use crate::model::TopicPartition;
use crate::offsets::{Direction, TranslatedOffset, Translation};

/// Reads a document of offsets and translates each; with --commit also commits them on the target.
///
/// The document is what `export` prints, or any JSON list of objects with `topic`, `partition` and `offset` as on the
/// source; other fields are kept. A committed offset is kept within the target's log.
#[derive(Args, Debug)]
#[command(after_help = super::AFTER_HELP)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    flow: FlowArgs,
    /// The document; `-` reads it from stdin.
    document: PathBuf,
    /// Commits the translated offsets on the target for this group, which must have no active members there.
    ///
    /// All or nothing is committed: an answer that is `unknown`, an active group, or a partition that is missing stops
    /// it. Entries of other groups are left out.
    #[arg(long, value_name = "GROUP", conflicts_with = "reverse")]
    commit: Option<String>,
    /// Translates from the target back to the source.
    #[arg(long)]
    reverse: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ImportArgs) -> Exit {
    let bytes = match read_bytes(args) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("error: {}: can't be read: {error}", args.document.display());
            return Exit::Unusable;
        }
    };
    let (loaded, flow) = match args.flow.read() {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let mut given = match given::read(&bytes, flow.name.as_str()) {
        Ok(given) => given,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("error: {}: {mistake}", args.document.display());
            }
            return Exit::Unusable;
        }
    };
    with_offsets(&loaded, &flow, async |offsets| {
        if let Some(group) = &args.commit {
            given.retain(|given| given.group.as_ref().is_none_or(|of| of == group));
        }
        let direction = if args.reverse { Direction::Reverse } else { Direction::Forward };
        let mut entries: Vec<OffsetEntry> =
            given.into_iter().map(|given| translated(&offsets, given, direction)).collect();
        let Some(group) = &args.commit else {
            return Ok(show(&Document::new(offsets.flow(), direction, entries), args.json));
        };
        let mut wanted: Vec<_> = entries.iter().map(wanted_commit).collect();
        commit(offsets.target(), group, &mut wanted, |moved| eprintln!("note: {moved}")).await?;
        for (entry, wanted) in entries.iter_mut().zip(wanted) {
            entry.answer.translated_offset = wanted.translated;
        }
        let committed = output::count(entries.len(), "offset");
        eprintln!("committed {committed} for group {group} on {}", offsets.flow().to);
        let document = Document::new(offsets.flow(), direction, entries).committed_for(group);
        Ok(show(&document, args.json))
    })
}

fn read_bytes(args: &ImportArgs) -> std::io::Result<Vec<u8>> {
    if args.document.as_os_str() != "-" {
        return std::fs::read(&args.document);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn wanted_commit(entry: &OffsetEntry) -> WantedCommit {
    let OffsetEntry { answer, metadata, .. } = entry;
    WantedCommit {
        asked: TopicPartition::new(answer.topic.clone(), answer.partition),
        offset: answer.offset,
        target: TopicPartition::new(answer.translated_topic.clone(), answer.partition),
        translated: answer.translated_offset,
        metadata: metadata.clone().unwrap_or_default(),
    }
}

fn translated(offsets: &FlowOffsets, given: GivenOffset, direction: Direction) -> OffsetEntry {
    let GivenOffset { partition, offset, group, metadata, more } = given;
    let answer = offsets.translate(&partition, offset, direction).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        let topic = &partition.topic;
        let other = offsets.other_name(topic, direction);
        TranslatedOffset::new(topic, partition.partition, offset, &other, Translation::Unknown)
    });
    OffsetEntry { group, answer, metadata, more }
}
