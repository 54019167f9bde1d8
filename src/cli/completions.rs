//! `mirrormesh completions`: what a shell needs to complete our commands and flags.

use clap::Args;
use clap_complete::{Shell, generate};

use super::Exit;
use super::output;

/// Prints a shell's completions of all commands and flags.
#[derive(Args, Debug)]
#[command(after_help = "\
Where shells read them:
  bash  ~/.local/share/bash-completion/completions/mirrormesh
  fish  ~/.config/fish/completions/mirrormesh.fish
  zsh   a file _mirrormesh in a folder of $fpath

Exit codes: 0 fine, 2 unusable input")]
pub(super) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

/// Runs the command.
pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Exit {
    let mut script = Vec::new();
    // Into memory first: it panics where it can't write, into a closed pipe for one.
    generate(args.shell, command, "mirrormesh", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Exit::Fine
}
