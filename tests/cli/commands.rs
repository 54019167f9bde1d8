//! What each command prints and how it ends.

use serde_json::Value;

use super::{binary, data, finish, run, text, topology};

const ACTIVE: &str = "topologies/active-active.yaml";

#[test]
fn a_sound_file_is_fine() {
    let ran = run(&["check", "--offline", ACTIVE]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("ok, 0 warnings: 2 clusters, 2 flows"), "{}", ran.stdout);
    let json = run(&["check", "--offline", "--json", ACTIVE]).json();
    assert_eq!((&json["ok"], json["problems"].as_array().map(Vec::len)), (&Value::Bool(true), Some(0)));
}

#[test]
fn warnings_alone_are_fine() {
    let (file, _dir) = topology(
        "clusters: {a: {bootstrap: 'a:1', client: {metric.reporters: x}}, b: {bootstrap: 'b:1'}}\nflows: {f: {from: a, to: b}}\n",
    );
    let ran = run(&["check", "--offline", text(&file)]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("warning: clusters.a.client.metric.reporters"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok, 1 warning:"), "{}", ran.stdout);
    let graph = run(&["graph", text(&file)]);
    assert_eq!(graph.code, 0);
    assert!(graph.stderr.starts_with("warning: "), "{}", graph.stderr);
    assert!(graph.stdout.starts_with("mesh "), "{}", graph.stdout);
}

#[test]
fn input_that_can_not_be_read_is_unusable() {
    for file in [data("list.yaml"), data("not-yaml.yaml"), "nowhere.yaml".to_owned(), "src".to_owned()] {
        for command in [
            &["check", "--offline"][..],
            &["graph"],
            &["config", "--show"],
            &["plan"],
            &["run"],
            &["offsets", "groups"],
        ] {
            let mut arguments = command.to_vec();
            arguments.push(&file);
            let ran = run(&arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
            assert!(ran.stderr.contains(&file), "{arguments:?}: {}", ran.stderr);
        }
        let json = run(&["check", "--offline", "--json", &file]);
        assert_eq!((json.code, json.json()["errors"].as_u64()), (2, Some(1)));
    }
}

#[test]
fn problems_end_other_commands_too() {
    for command in [&["graph"][..], &["config", "--show"], &["plan"], &["run"], &["offsets", "groups"]] {
        let file = data("flows.yaml");
        let mut arguments = command.to_vec();
        arguments.push(&file);
        let ran = run(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.stderr.contains("flows.itself.to"), "{}", ran.stderr);
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_unusable() {
    for arguments in [
        &["check"][..],
        &["nonsense"],
        &["config"],
        &["config", "--show"],
        &["config", "--schema", "--show", ACTIVE],
        &["graph", ACTIVE, "--format", "png"],
        &["check", ACTIVE, "--set", "mesh"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains("error"), "{arguments:?}");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    for arguments in [&["--help"][..], &["check", "--help"], &["graph", "--help"], &["config", "--help"]] {
        let ran = run(arguments);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.to_lowercase().contains("exit codes"), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn pipes_get_no_colours() {
    let ran = run(&["check", "--offline", &data("flows.yaml")]);
    assert!(!ran.stdout.contains('\x1b') && ran.stdout.starts_with("error: "), "{}", ran.stdout);
    let ran = run(&["graph", &data("flows.yaml")]);
    assert!(!ran.stderr.contains('\x1b') && ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let shown = |variable: Option<&str>, set: &[&str]| {
        let mut arguments = vec!["config", "--show", "--json", "topologies/fan-out.yaml"];
        arguments.extend(set);
        let mut command = binary(&arguments);
        if let Some(value) = variable {
            command.env("MIRRORMESH_FLOWS__CENTRAL_TO_TOKYO__CODEC", value);
        }
        let ran = finish(&mut command);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let entries = ran.json();
        let found =
            entries.as_array().unwrap().iter().find(|entry| entry["key"] == "flows.central-to-tokyo.codec");
        let found = found.unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["origin"]["from"].as_str().unwrap().to_owned())
    };
    let is = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(shown(None, &[]), is("zstd", "file"));
    assert_eq!(shown(Some("gzip"), &[]), is("gzip", "env"));
    assert_eq!(shown(Some("gzip"), &["--set", "flows.central-to-tokyo.codec=snappy"]), is("snappy", "set"));
}

#[test]
fn show_tells_where_each_value_came_from() {
    let ran = run(&["config", "--show", "topologies/fan-out.yaml", "--set", "memory.budget=64MiB"]);
    for part in [
        r#"clusters.tokyo.region = "asia""#,
        "# topologies/fan-out.yaml:18",
        r#"memory.budget = "64MiB""#,
        "# --set memory.budget",
        r#"flows.central-to-paris.start = "earliest""#,
        "# built-in default",
        r#"flows.central-to-paris.topics = ["prices","catalogue-.*"]"#,
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}

#[test]
fn a_mistake_in_a_variable_or_flag_is_told_where_it_is() {
    let ran = finish(
        binary(&["check", "--offline", ACTIVE, "--set", "memory.budget=tiny"])
            .env("MIRRORMESH_HTTP__LISTEN", "here")
            .env("MIRRORMESH_FLOWS__EAST__CODEC", "lz4"),
    );
    assert_eq!(ran.code, 1);
    for part in [
        "at:      environment variable MIRRORMESH_HTTP__LISTEN",
        "at:      --set memory.budget",
        "flows.east.from: is missing",
    ] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}

#[test]
fn the_schema_is_json() {
    let ran = run(&["config", "--schema"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let schema = ran.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(
        schema["properties"]["flows"]["additionalProperties"]["properties"]["codec"]["default"],
        "lz4"
    );
}

#[test]
fn graphs_show_flows_and_ways() {
    let text = run(&["graph", "topologies/chain.yaml"]).stdout;
    for line in ["  region.store-1.sales  store-1 → region → archive", "on archive", "flows", "clusters"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let dot = run(&["graph", "topologies/chain.yaml", "--format", "dot"]).stdout;
    assert!(dot.starts_with("digraph \"chain\" {\n") && dot.ends_with("}\n"), "{dot}");
    assert!(
        dot.contains(r#""store-1" -> "region" [label="store-1-to-region\nprefix, topics sales"]"#),
        "{dot}"
    );
    assert!(dot.contains(r"topics store-\\d+\\.sales"), "{dot}");
    let mermaid = run(&["graph", "topologies/chain.yaml", "--format", "mermaid"]).stdout;
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert!(mermaid.contains("[\"archive<br/>region.store-1.sales<br/>region.store-2.sales\"]"), "{mermaid}");
    assert!(mermaid.contains("-->|\"store-1-to-region<br/>prefix, topics sales\"|"), "{mermaid}");
}
