//! How commands speak: problems in colour on a terminal, plain text elsewhere.

use std::io::{self, IsTerminal, Write};

use crate::config::{Problem, Severity};

/// Whether a stream takes colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// For stdout.
    pub fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For stderr.
    pub fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// Colours only on a terminal, and not if `NO_COLOR` is set to anything (no-color.org).
    fn of(terminal: bool) -> Self {
        Self { colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// A problem as people read it.
    pub fn problem(self, problem: &Problem) -> String {
        let text = problem.to_string();
        let (word, code) = match problem.severity {
            Severity::Error => ("error", "31"),
            Severity::Warning => ("warning", "33"),
        };
        match text.strip_prefix(word) {
            Some(rest) if self.colour => format!("\x1b[1;{code}m{word}\x1b[0m{rest}"),
            _ => text,
        }
    }
}

/// Tells problems on stderr.
pub fn tell(problems: &[Problem]) {
    let style = Style::stderr();
    for problem in problems {
        eprintln!("{}", style.problem(problem));
    }
}

/// Writes a command's data to stdout.
///
/// A reader that has gone away, such as `head`, ends the command without a word.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let outcome = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    if let Err(error) = outcome.and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("can't write to stdout: {error}");
    }
}

/// Writes JSON to stdout.
pub fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our own types serialize");
    print(&text);
}

/// `1 flow`, `2 flows`.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
