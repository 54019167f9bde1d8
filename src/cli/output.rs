//! How commands speak: problems in colour on a terminal, plain text elsewhere.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};

use crate::config::{Problem, ProblemSeverity};

/// Whether a stream takes colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    colour: bool,
}

impl Style {
    /// For stdout.
    pub(super) fn stdout() -> Self {
        Self::of(io::stdout().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    /// For stderr.
    pub(super) fn stderr() -> Self {
        Self::of(io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    /// Colours only on a terminal, and not if `NO_COLOR` is set to anything (no-color.org).
    fn of(terminal: bool, no_color: Option<&OsStr>) -> Self {
        Self { colour: terminal && no_color.is_none_or(OsStr::is_empty) }
    }

    /// A problem as people read it.
    pub(super) fn problem(self, problem: &Problem) -> String {
        let text = problem.to_string();
        let (word, code) = match problem.severity {
            ProblemSeverity::Error => ("error", "31"),
            ProblemSeverity::Warning => ("warning", "33"),
        };
        match text.strip_prefix(word) {
            Some(rest) if self.colour => format!("\x1b[1;{code}m{word}\x1b[0m{rest}"),
            _ => text,
        }
    }
}

/// Tells problems on stderr.
pub(super) fn tell(problems: &[Problem]) {
    let style = Style::stderr();
    for problem in problems {
        eprintln!("{}", style.problem(problem));
    }
}

/// Writes a command's data to stdout.
///
/// A reader that has gone away, such as `head`, ends the command without a word.
pub(super) fn print(text: &str) {
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
pub(super) fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our own types serialize");
    print(&text);
}

/// `1 flow`, `2 flows`.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use crate::config::Origin;

    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let problem = Problem::warning("x", "a.b", &Origin::Default, "is odd");
        assert_eq!(Style::of(true, None).problem(&problem), "\x1b[1;33mwarning\x1b[0m: a.b: is odd");
        assert_eq!(
            Style::of(true, Some(OsStr::new(""))).problem(&problem),
            "\x1b[1;33mwarning\x1b[0m: a.b: is odd"
        );
        assert_eq!(Style::of(true, Some(OsStr::new("1"))).problem(&problem), "warning: a.b: is odd");
        assert_eq!(Style::of(false, None).problem(&problem), "warning: a.b: is odd");
    }

    #[test]
    fn one_thing_is_not_plural() {
        assert_eq!((count(1, "flow").as_str(), count(0, "flow").as_str()), ("1 flow", "0 flows"));
    }
}
