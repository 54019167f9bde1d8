//! `mirrormesh offsets groups`: every group on both sides.

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::FlowArgs;
use crate::cli::Exit;
use crate::cli::output;
use crate::model::groups::{GroupStatus, Worth};
use crate::model::{Alias, FlowName};
use crate::telemetry::clock::now_ms;

/// Shows the consumer groups of a flow on both sides.
///
/// Committed offsets and lags in records, where the source's commit lies on the target, what that is worth, and when the
/// mesh last wrote the group. When the source does not answer, its last checkpoints are shown.
#[derive(Args, Debug)]
#[command(after_help = super::AFTER_HELP)]
pub(super) struct GroupsArgs {
    #[command(flatten)]
    flow: FlowArgs,
    /// Only this group, also one that the flow does not follow.
    #[arg(long)]
    group: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints; `groups` is as `/offsets` has it.
#[derive(Serialize)]
pub(super) struct GroupsReport<'a> {
    pub flow: &'a FlowName,
    pub from: &'a Alias,
    pub to: &'a Alias,
    /// `source`, or `checkpoints` if the source does not answer.
    pub as_of: &'static str,
    pub groups: &'a [GroupStatus],
}

/// Runs the command.
pub(super) fn run(args: &GroupsArgs) -> Exit {
    args.flow.with_offsets(async |offsets| {
        let overview = offsets.overview(args.group.as_deref()).await.map_err(|error| error.to_string())?;
        let incomplete = super::tell_missing(&offsets, &overview.as_of, &overview.missing);
        let flow = offsets.flow();
        if let Some(group) = args.group.as_ref().filter(|_| overview.groups.is_empty() && !incomplete) {
            return Err(format!(
                "group {group} has committed nothing on {} or {} for topics that flow {} mirrors",
                flow.from, flow.to, flow.name
            ));
        }
        let groups = &overview.groups;
        if args.json {
            let as_of = overview.as_of.as_str();
            let (flow, from, to) = (&flow.name, &flow.from, &flow.to);
            output::print_json(&GroupsReport { flow, from, to, as_of, groups });
        } else {
            output::print(&table(&flow.from, &flow.to, groups));
        }
        let unknown = |group: &GroupStatus| group.partitions.iter().any(|p| p.worth == Some(Worth::Unknown));
        Ok(if incomplete || groups.iter().any(unknown) { Exit::Problems } else { Exit::Fine })
    })
}

fn table(from: &Alias, to: &Alias, groups: &[GroupStatus]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(vec![
        "group".to_owned(),
        "partition".to_owned(),
        from.to_string(),
        "offset".to_owned(),
        "lag".to_owned(),
        "translated".to_owned(),
        "worth".to_owned(),
        to.to_string(),
        "offset".to_owned(),
        "lag".to_owned(),
        "last sync".to_owned(),
    ]);
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let now_ms = now_ms();
    for group in groups {
        for partition in &group.partitions {
            table.add_row(vec![
                group.group.clone(),
                partition.source.to_string(),
                group.source_state.clone(),
                number(partition.source_offset),
                number(partition.source_lag),
                number(partition.translated),
                partition.worth.map_or("-", Worth::as_str).to_owned(),
                group.target_state.clone(),
                number(partition.target_offset),
                number(partition.target_lag),
                group.last_sync_ms.map_or_else(|| "-".to_owned(), |at_ms| age(now_ms - at_ms)),
            ]);
        }
    }
    table.trim_fmt()
}

/// `3s ago`, in the largest unit that leaves a number above 0.
fn age(age_ms: i64) -> String {
    let seconds = age_ms.max(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (age_ms, text) in [
            (-5, "0s ago"),
            (59_999, "59s ago"),
            (60_000, "1m ago"),
            (3_600_000, "1h ago"),
            (172_800_000, "2d ago"),
        ] {
            assert_eq!(age(age_ms), text);
        }
    }
}
