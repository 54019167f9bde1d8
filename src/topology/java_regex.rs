//! Java regular expressions, matched against a whole name.
//!
//! MirrorMaker 2's users have Java patterns, look-ahead included, so patterns keep Java's meaning: `translate`
//! rewrites what Rust's engine spells otherwise and refuses what it can't express.

mod translate;

use fancy_regex::{Regex, RegexBuilder};

pub use translate::PatternError;

/// Steps one match may take before it is given up.
///
/// An honest pattern needs a few hundred for a name of 249 characters; 100,000 take about a millisecond, so even
/// 10,000 names against a runaway pattern stay bearable, and each is told.
const BACKTRACK_LIMIT: usize = 100_000;

/// A Java regular expression that matches whole names.
#[derive(Clone, Debug)]
pub struct JavaPattern {
    text: String,
    /// Nothing for plain names, which need no engine.
    regex: Option<Regex>,
    /// What every match starts with, and whether that is all of it: most names are settled without the engine.
    prefix: String,
    exact: bool,
}

/// The text in front of a final `.*`, if there is nothing else in the pattern: the most usual patterns need no engine.
fn before_anything(text: &str) -> Option<String> {
    let (prefix, exact) = literal_prefix(text.strip_suffix(".*")?);
    exact.then_some(prefix)
}

impl JavaPattern {
    /// Compiles a pattern as `java.util.regex.Pattern` reads it.
    ///
    /// Fails with the construct that has no counterpart here, or with what is wrong with the pattern.
    pub fn compile(text: &str) -> Result<Self, PatternError> {
        let translated = translate::translate(text)?;
        let (prefix, exact) = literal_prefix(text);
        let regex = if exact || before_anything(text).is_some() {
            None
        } else {
            Some(build(text, &format!(r"\A(?:{translated})\z"))?)
        };
        Ok(Self { text: text.to_owned(), regex, prefix, exact })
    }

    /// Whether the whole name matches.
    ///
    /// Fails if the pattern needs more than a bounded number of steps, which only back-tracking ones can.
    pub fn matches(&self, name: &str) -> Result<bool, PatternError> {
        let Some(regex) = self.regex.as_ref().filter(|_| name.starts_with(&self.prefix)) else {
            let ending = name.strip_prefix(self.prefix.as_str());
            let fits = |rest: &str| {
                if self.exact { rest.is_empty() } else { self.regex.is_none() && !rest.contains('\n') }
            };
            return Ok(ending.is_some_and(fits));
        };
        regex.is_match(name).map_err(|error| {
            PatternError::new(&self.text, format!("takes too many steps on {name:?} ({error})")).hint(
                "avoid nested repetition such as (a+)+ or (.*.*)*; possessive ++ and *+ don't back-track",
            )
        })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn build(text: &str, translated: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(translated)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build()
        .map_err(|error| PatternError::new(text, first_line(&error.to_string())))
}

/// The engine's message draws the pattern over several lines; the last one says what is wrong.
fn first_line(message: &str) -> String {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message);
    line.trim().trim_start_matches("error: ").to_owned()
}

/// The text every match of a pattern starts with, and whether that is all of it.
///
/// `orders\.v1` is `("orders.v1", true)`, `us-.*` is `("us-", false)`; nothing is known of `a|b`: `("", false)`.
pub fn literal_prefix(pattern: &str) -> (String, bool) {
    if pattern.contains(['|', '&']) || pattern.contains("(?") {
        return (String::new(), false);
    }
    let mut literal = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let next = match c {
            '\\' => match chars.next() {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => escaped,
                _ => return (literal, false),
            },
            '.' | '[' | '(' | ')' | '{' | '*' | '+' | '?' | '^' | '$' | ']' | '}' => return (literal, false),
            plain => plain,
        };
        // A quantifier takes the last character out of what is certain.
        if matches!(chars.peek(), Some('*' | '?' | '{' | '+')) {
            return (literal, false);
        }
        literal.push(next);
    }
    (literal, true)
}

#[cfg(test)]
mod tests;
