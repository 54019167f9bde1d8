//! `mirrormesh plan`: what `run` would do now.

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::Exit;
use super::input::TopologyArgs;
use super::output;
use crate::config::Loaded;
use crate::inspect::Survey;
use crate::topology::plan::{BROKER_DEFAULT, FlowPlan};
use crate::topology::topic_config::ConfigEdit;

/// Shows what `run` would do now, and changes nothing.
///
/// Topics that are mirrored and by which rule, their names on the target, topics to create, partitions to add,
/// configuration entries to change, and topics left out with the reason.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 fine, 1 a cluster does not answer or the topology has problems, 2 unusable input"
)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    topology: TopologyArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct PlanReport {
    pub mesh: String,
    pub flows: Vec<FlowPlan>,
    /// Why the plans of other flows are missing.
    pub unanswered: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &PlanArgs) -> Exit {
    let loaded = match args.topology.load_or_tell() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let report = match super::block_on(survey(&loaded)) {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    for reason in &report.unanswered {
        eprintln!("error: {reason}");
    }
    if args.json {
        output::print_json(&report);
    } else {
        let text: Vec<String> = report.flows.iter().map(|plan| flow_text(&loaded, plan)).collect();
        output::print(&text.join("\n"));
    }
    if report.unanswered.is_empty() { Exit::Fine } else { Exit::Problems }
}

async fn survey(loaded: &Loaded) -> PlanReport {
    let survey = Survey::take(loaded).await;
    let mut report =
        PlanReport { mesh: loaded.topology.mesh.clone(), flows: Vec::new(), unanswered: Vec::new() };
    for looked in survey.clusters.values() {
        if let Err(error) = looked {
            report.unanswered.push(error.to_string());
        }
    }
    for flow in loaded.topology.flows.values() {
        match survey.plan(loaded, flow).await {
            Some(Ok(plan)) => report.flows.push(plan),
            Some(Err(error)) => report.unanswered.push(error.to_string()),
            None => report.unanswered.push(format!("flow {}: no plan without both its clusters", flow.name)),
        }
    }
    report
}

fn flow_text(loaded: &Loaded, plan: &FlowPlan) -> String {
    let ends = loaded.topology.flows.get(&plan.flow).map(|flow| format!(" ({} → {})", flow.from, flow.to));
    let (engine, why) = (plan.engine.engine.as_str(), plan.engine.reason);
    let mut text = format!("flow {}{}\nengine: {engine} ({why})\n", plan.flow, ends.unwrap_or_default());
    let mut section = |title: &str, header: &[&str], rows: Vec<Vec<String>>| {
        text.push_str(&format!("\n{title}: {}\n", rows.len()));
        if !rows.is_empty() {
            text.push_str(&table(header, rows));
            text.push('\n');
        }
    };
    let selected = plan.selected.iter().map(|selected| {
        let partitions = selected.partitions.to_string();
        vec![selected.topic.to_string(), selected.remote.to_string(), partitions, selected.rule.clone()]
    });
    section("topics mirrored", &["topic", "on the target", "partitions", "by rule"], selected.collect());
    let create = plan.create.iter().map(|creation| {
        let replicas = match creation.replication_factor {
            BROKER_DEFAULT => "default".to_owned(),
            count => count.to_string(),
        };
        let configs: Vec<String> =
            creation.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![creation.remote.to_string(), creation.partitions.to_string(), replicas, configs.join("\n")]
    });
    section("topics to create", &["topic", "partitions", "replicas", "configuration"], create.collect());
    let grow = plan.grow.iter().map(|g| vec![g.remote.to_string(), g.from.to_string(), g.to.to_string()]);
    section("partitions to add", &["topic", "from", "to"], grow.collect());
    let changes = plan.config_changes.iter().flat_map(|change| {
        change.edits.iter().map(|edit| {
            let (name, was, value) = match edit {
                ConfigEdit::Set { name, value, was } => (name, was, value.clone()),
                ConfigEdit::Delete { name, was } => (name, was, "(the target's default)".to_owned()),
            };
            vec![change.remote.to_string(), name.clone(), was.clone().unwrap_or_default(), value]
        })
    });
    section("configuration to change", &["topic", "entry", "now", "then"], changes.collect());
    let left = plan.left_out.iter().map(|left| vec![left.topic.to_string(), left.reason.clone()]);
    section("topics left out", &["topic", "reason"], left.collect());
    for note in &plan.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}
