//! The command line as a user runs it: the real binary, its output and its exit codes.

mod broken;
mod commands;
mod completions;
mod offsets;
mod secrets;
mod setup;
mod topologies;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The binary, without any variable of ours that the tests were started with.
fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mirrormesh"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MIRRORMESH_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(arguments: &[&str]) -> Ran {
    finish(&mut binary(arguments))
}

fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary was built for this test");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    Ran {
        code: output.status.code().expect("it was not killed"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

fn data(name: &str) -> String {
    format!("tests/data/config/{name}")
}

/// A topology in a folder that lives as long as the second value.
fn topology(text: &str) -> (PathBuf, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mesh.yaml");
    std::fs::write(&file, text).unwrap();
    (file, dir)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
