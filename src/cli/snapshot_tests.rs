//! Commands, flags, exit codes, what `--json` prints and what can be configured, as users' scripts know them.

use std::fmt::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use serde_json::Value;

use super::{Cli, Exit, check, plan};
use crate::config::{EffectiveValue, Origin, Problem, ProblemSeverity, json_schema};
use crate::snapshot::{self, json_shape};
use crate::topology::engine::{EngineChoice, EngineKind};
use crate::topology::plan::{ConfigChanges, Creation, FlowPlan, Growth, LeftOut, Selected};
use crate::topology::topic_config::ConfigEdit;

/// Wide enough that no help text is wrapped by the terminal that the test happens to run on.
const WIDTH: usize = 120;

fn help(command: &mut clap::Command, path: &str, text: &mut String) {
    writeln!(text, "\n## help of {path}\n{}", command.render_long_help()).expect("a string takes text");
    for below in command.get_subcommands_mut() {
        let path = format!("{path} {}", below.get_name());
        help(below, &path, text);
    }
}

fn check_sample() -> String {
    let at = |origin: Origin| Problem {
        severity: ProblemSeverity::Warning,
        code: "unknown_key",
        key: "flows.a".to_owned(),
        origin,
        given: Some("x".to_owned()),
        allowed: Some("y".to_owned()),
        message: "is not known".to_owned(),
        hint: Some("mend it".to_owned()),
    };
    let problems = [
        at(Origin::File { file: "mesh.yaml".to_owned(), line: Some(3) }),
        at(Origin::Env { variable: "MIRRORMESH_X".to_owned() }),
        at(Origin::Set { key: "x".to_owned() }),
        at(Origin::Default),
    ];
    let file = "mesh.yaml".to_owned();
    json_shape(&check::CheckReport { file, ok: false, errors: 1, warnings: 3, problems: &problems })
}

fn plan_sample() -> String {
    let (topic, remote) = ("orders", "east.orders");
    let (name, value, was) = ("retention.ms".to_owned(), "1".to_owned(), Some("2".to_owned()));
    let flow = FlowPlan {
        flow: "east-west".into(),
        engine: EngineChoice { engine: EngineKind::Records, reason: "it is set" },
        selected: vec![Selected {
            topic: topic.into(),
            remote: remote.into(),
            rule: ".*".to_owned(),
            partitions: 1,
        }],
        create: vec![Creation {
            topic: topic.into(),
            remote: remote.into(),
            partitions: 1,
            replication_factor: 3,
            configs: vec![(name.clone(), value.clone())],
        }],
        grow: vec![Growth { remote: remote.into(), from: 1, to: 2 }],
        config_changes: vec![ConfigChanges {
            remote: remote.into(),
            edits: vec![
                ConfigEdit::Set { name: name.clone(), value, was: was.clone() },
                ConfigEdit::Delete { name, was },
            ],
        }],
        left_out: vec![LeftOut { topic: topic.into(), reason: "internal".to_owned(), is_problem: true }],
        notes: vec!["a note".to_owned()],
    };
    let unanswered = vec!["west does not answer".to_owned()];
    json_shape(&plan::PlanReport { mesh: "test".to_owned(), flows: vec![flow], unanswered })
}

fn config_sample() -> String {
    let entry = EffectiveValue { key: "a.b".to_owned(), value: "text".into(), origin: Origin::Default };
    json_shape(&[entry])
}

/// Every value of the JSON Schema under its path.
fn leaves(path: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| leaves(&format!("{path}/{key}"), value, text));
        }
        leaf => writeln!(text, "{path} {leaf}").expect("a string takes text"),
    }
}

#[test]
fn the_snapshot_of_commands_holds() {
    let mut text = String::from("## exit codes\n");
    for exit in [Exit::Fine, Exit::Problems, Exit::Unusable] {
        writeln!(text, "{exit:?} {:?}", ExitCode::from(exit)).expect("a string takes text");
    }
    help(&mut Cli::command().term_width(WIDTH).version("0.0.0"), "mirrormesh", &mut text);
    for (command, shape) in
        [("check", check_sample()), ("plan", plan_sample()), ("config --show", config_sample())]
    {
        writeln!(text, "\n## {command} --json\n{shape}").expect("a string takes text");
    }
    // Trailing blanks would not survive an editor.
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    snapshot::check("commands", &text);
}

#[test]
fn the_snapshot_of_configuration_holds() {
    let mut text = String::from("## config --schema\n");
    leaves("", &json_schema(), &mut text);
    snapshot::check("configuration", &text);
}
