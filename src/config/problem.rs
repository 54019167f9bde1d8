//! What is wrong with a configuration, told so that a person can mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemSeverity {
    /// The mesh can't run like this.
    Error,
    /// It can run, but is likely not what was meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: ProblemSeverity,
    /// The class: a bounded set of words, for programs.
    pub code: &'static str,
    /// Path of the key, e.g. `flows.east-west.topics`; empty when it is about the whole file.
    pub key: String,
    /// Where the value came from: a file, an environment variable, a `--set`, or the built-in defaults.
    pub origin: Origin,
    /// The value that was given; `(hidden)` for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What is allowed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// The topology file.
    File {
        /// Its path, as it was given.
        file: String,
        /// The line of the key, from 1, where it could be found.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    },
    /// An environment variable.
    Env {
        /// Its name.
        variable: String,
    },
    /// A `--set` on the command line.
    Set {
        /// The key as it was written there.
        key: String,
    },
}

impl Problem {
    /// An error.
    pub fn error(
        code: &'static str,
        key: impl Into<String>,
        origin: &Origin,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: ProblemSeverity::Error,
            code,
            key: key.into(),
            origin: origin.clone(),
            given: None,
            allowed: None,
            message: message.into(),
            hint: None,
        }
    }

    /// A warning.
    pub fn warning(
        code: &'static str,
        key: impl Into<String>,
        origin: &Origin,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: ProblemSeverity::Warning, ..Self::error(code, key, origin, message) }
    }

    /// Adds the value that was given.
    pub fn given(mut self, given: impl Into<String>) -> Self {
        self.given = Some(given.into());
        self
    }

    /// Adds what is allowed.
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do, if anything comes to mind.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

impl Origin {
    /// The line in the file, if that is where it came from.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => *line,
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { file, line: Some(line) } => write!(f, "{file}:{line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Env { variable } => write!(f, "environment variable {variable}"),
            Self::Set { key } => write!(f, "--set {key}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            ProblemSeverity::Error => f.write_str("error: ")?,
            ProblemSeverity::Warning => f.write_str("warning: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if self.origin != Origin::Default {
            write!(f, "\n    at:      {}", self.origin)?;
        }
        for (label, text) in
            [("given:  ", &self.given), ("allowed:", &self.allowed), ("hint:   ", &self.hint)]
        {
            if let Some(text) = text {
                write!(f, "\n    {label} {text}")?;
            }
        }
        Ok(())
    }
}

/// Why a configuration can't be used: everything that is wrong with it, warnings included.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Problems {
    /// The input could not even be read: file missing, not YAML.
    pub unusable: bool,
    /// What was found.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// The known word closest to `given`, if one is close enough to be a slip of the finger.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // 0.8 lets `exlude` find `exclude` and keeps `orders` from finding `origin`.
    const CLOSE_ENOUGH: f64 = 0.8;
    known
        .into_iter()
        .map(|word| (word, strsim::jaro_winkler(&given.to_lowercase(), &word.to_lowercase())))
        .filter(|(_, score)| *score >= CLOSE_ENOUGH)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(word, _)| word)
}

/// The hint for a word that is not known.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, known).map(|word| format!("did you mean `{word}`?"))
}
