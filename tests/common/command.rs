//! Commands of the real binary that end by themselves, run as a user runs them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{blocking, fresh_dir};

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

impl Ran {
    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `mirrormesh <command> topology.yaml <flags>` on this topology and waits for its end; `command` may be two words,
/// as in `offsets groups`.
pub async fn mirrormesh(command: &str, topology: &str, flags: &[&str]) -> Ran {
    let dir = fresh_dir(&command.replace(' ', "-"));
    fs::write(dir.join("topology.yaml"), topology).expect("the topology file can be written");
    let mut process = Command::new(env!("CARGO_BIN_EXE_mirrormesh"));
    process.args(command.split(' ')).arg("topology.yaml").args(flags).current_dir(dir).stdin(Stdio::null());
    let output = blocking(move || process.output().expect("the binary can be run")).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Ran {
        code: output.status.code().expect("no signal ended it"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
