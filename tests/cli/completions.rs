//! Completions as shells take them.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Ran, finish, run};

/// Has bash read the completions and then these lines; `$?` and `set -e` are bash's own.
fn in_bash(lines: &str) -> Ran {
    let completions = run(&["completions", "bash"]);
    assert_eq!((completions.code, completions.stderr.as_str()), (0, ""));
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(completions.stdout.as_bytes()).unwrap();
    let script = script.into_temp_path();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-ec", &format!("source \"$0\"\n{lines}")]).arg(&script);
    finish(bash.stdin(Stdio::null()))
}

/// What bash offers for a line that ends in a word begun.
fn offered(words: &[&str]) -> Vec<String> {
    let begun = words.last().expect("there is a word");
    let before = words[words.len() - 2];
    let ran = in_bash(&format!(
        "COMP_WORDS=({}); COMP_CWORD={}\n_mirrormesh mirrormesh '{begun}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let ran = in_bash("complete -p mirrormesh");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("-F _mirrormesh") && ran.stdout.ends_with(" mirrormesh\n"), "{}", ran.stdout);
    let commands = offered(&["mirrormesh", ""]);
    for command in ["check", "completions", "config", "graph", "offsets", "plan", "run"] {
        assert!(commands.iter().any(|offered| offered == command), "{command} is not in {commands:?}");
    }
    assert_eq!(offered(&["mirrormesh", "co"]), ["completions", "config"]);
    assert_eq!(offered(&["mirrormesh", "offsets", "tr"]), ["translate"]);
    assert_eq!(offered(&["mirrormesh", "check", "--off"]), ["--offline"]);
}

#[test]
fn every_shell_has_its_own() {
    for (shell, part) in [
        ("bash", "complete -F _mirrormesh"),
        ("zsh", "#compdef mirrormesh"),
        ("fish", "complete -c mirrormesh"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName 'mirrormesh'"),
        ("elvish", "edit:completion:arg-completer[mirrormesh]"),
    ] {
        let ran = run(&["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        assert!(ran.stdout.contains(part) && ran.stdout.contains("translate"), "{shell}: {}", ran.stdout);
    }
    let ran = run(&["completions", "cmd"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("powershell"), "{}", ran.stderr);
}
