//! `mirrormesh offsets` where no cluster is needed: what makes no sense is told before anybody is asked.

use std::io::Write;
use std::process::Stdio;

use super::{Ran, binary, run, text, topology};

const ACTIVE: &str = "topologies/active-active.yaml";
const PLACE: [&str; 6] = ["--topic", "orders", "--partition", "0", "--offset", "1"];

fn offsets(command: &str, flags: &[&str]) -> Ran {
    run(&[&["offsets", command, ACTIVE], flags].concat())
}

/// The run is refused as a command line that makes no sense, with these words.
fn unusable(ran: &Ran, told: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    for part in told {
        assert!(ran.stderr.contains(part), "{part} is not in {}", ran.stderr);
    }
}

#[test]
fn flows_are_named_by_name_or_ends() {
    for command in [&["translate"][..], &["groups"], &["export"], &["import", "Cargo.toml"]] {
        let (name, rest) = command.split_first().unwrap();
        let flags: Vec<&str> = match *name {
            "translate" => PLACE.to_vec(),
            _ => rest.to_vec(),
        };
        unusable(&offsets(name, &flags), &["--flow is needed", "east-to-west, west-to-east"]);
        let wrong = [flags.as_slice(), &["--flow", "east-to-wets"]].concat();
        unusable(&offsets(name, &wrong), &["no flow is called", "did you mean `east-to-west`?"]);
        let wrong = [flags.as_slice(), &["--flow", "east->north"]].concat();
        unusable(&offsets(name, &wrong), &["no flow is called", "there are: east-to-west, west-to-east"]);
    }
}

#[test]
fn an_offset_needs_its_place_and_no_group() {
    let flow = ["--flow", "east->west"];
    for (flags, told) in [
        (&[][..], "--topic"),
        (&["--topic", "orders"], "--partition"),
        (&["--partition", "0", "--offset", "1"], "--topic"),
        (&["--topic", "orders", "--partition", "0"], "--offset"),
        (&["--topic", "orders", "--partition", "0", "--offset", "-1"], "-1 is not in 0"),
        (&["--topic", "orders", "--partition", "-3", "--offset", "1"], "-3 is not in 0"),
        (&["--topic", "orders", "--partition", "0", "--offset", "many"], "invalid"),
        (&["--topic", "orders", "--partition", "0", "--offset", "1", "--group", "g"], "cannot be used with"),
    ] {
        unusable(&offsets("translate", &[&flow, flags].concat()), &[told]);
    }
}

#[test]
fn a_target_that_is_away_is_named() {
    let (file, _dir) = topology(
        "clusters: {a: {bootstrap: '127.0.0.1:1'}, b: {bootstrap: '127.0.0.1:2', client: {socket.connection.setup.timeout.ms: 500}}}\n\
         flows: {f: {from: a, to: b}}\n",
    );
    // The only flow need not be named.
    let ran = run(&[&["offsets", "translate", text(&file)][..], &PLACE].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error: cluster `b`") && ran.stderr.contains("127.0.0.1:2"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_document_that_is_not_there_is_unusable() {
    let ran = offsets("import", &["--flow", "east->west", "nowhere.json"]);
    unusable(&ran, &["nowhere.json", "can't be read"]);
    let ran = offsets("import", &["--flow", "east->west", "nowhere.json", "--reverse", "--commit", "g"]);
    unusable(&ran, &["cannot be used with"]);
}

#[test]
fn every_mistake_of_a_document_is_told() {
    let mut command = binary(&["offsets", "import", ACTIVE, "--flow", "east->west", "-"]);
    let document = r#"[{"topic": "t", "partition": 0}, {"topic": "t", "partition": -2, "offset": 5}]"#;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: -: offsets[0]: offset is missing\n\
         error: -: offsets[1]: partition: -2 is not a number from 0 on\n"
    );
}

#[test]
fn help_tells_worth_and_exit_codes() {
    for command in
        [&["offsets"][..], &["offsets", "translate"], &["offsets", "groups"], &["offsets", "import"]]
    {
        let ran = run(&[command, &["--help"]].concat());
        assert_eq!(ran.code, 0);
        for part in ["earliest safe", "Exit codes:"] {
            assert!(ran.stdout.contains(part), "{command:?}: {}", ran.stdout);
        }
    }
}
