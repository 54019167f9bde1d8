//! Rewrites a Java pattern into the words of Rust's engine.

use std::iter::Peekable;
use std::str::CharIndices;

/// A pattern that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern `{pattern}` {what}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead, where there is something to say.
    pub hint: Option<String>,
}

impl PatternError {
    pub(super) fn new(pattern: &str, what: impl Into<String>) -> Self {
        Self { pattern: pattern.to_owned(), what: what.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The pattern in Rust's words, or the construct that has none.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut walker =
        Walker { pattern, chars: pattern.char_indices().peekable(), out: String::new(), open: 0 };
    walker.run()?;
    Ok(walker.out)
}

struct Walker<'a> {
    pattern: &'a str,
    chars: Peekable<CharIndices<'a>>,
    out: String,
    /// Groups that are not closed yet.
    open: usize,
}

impl Walker<'_> {
    fn run(&mut self) -> Result<(), PatternError> {
        while let Some((at, c)) = self.chars.next() {
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class(at)?,
                '(' => {
                    self.open += 1;
                    if self.peek() == Some('?') { self.group(at)? } else { self.out.push(c) }
                }
                // The pattern ends up in a group of ours, which must not be closed early.
                ')' if self.open == 0 => return Err(self.broken("has a ) without (").hint_literal(")")),
                ')' => {
                    self.open -= 1;
                    self.out.push(c);
                }
                '{' => self.braces(at)?,
                _ => self.out.push(c),
            }
        }
        Ok(())
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|&(_, c)| c)
    }

    fn next(&mut self) -> Option<char> {
        self.chars.next().map(|(_, c)| c)
    }

    fn refuse(&self, construct: impl std::fmt::Display, why: &str) -> PatternError {
        PatternError::new(self.pattern, format!("uses {construct}, {why}"))
    }

    fn broken(&self, what: impl Into<String>) -> PatternError {
        PatternError::new(self.pattern, what)
    }

    /// `{n}`, `{n,}`, `{n,m}`: as in Java, anything else is a mistake.
    fn braces(&mut self, at: usize) -> Result<(), PatternError> {
        let rest = &self.pattern[at + 1..];
        let Some(end) = rest.find('}') else {
            return Err(self.broken("has a { without }").hint_literal("{"));
        };
        let inside = &rest[..end];
        let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return Err(self
                .broken(format!("has {{{inside}}}, which is not a repetition"))
                .hint_literal("{"));
        }
        self.out.push('{');
        self.copy_until(at + 1 + end);
        Ok(())
    }

    /// Copies characters up to and including the one at `last`.
    fn copy_until(&mut self, last: usize) {
        while let Some((at, c)) = self.chars.next() {
            self.out.push(c);
            if at == last {
                break;
            }
        }
    }

    /// `(?…`: look-around, atomic, named and plain groups, flags.
    fn group(&mut self, at: usize) -> Result<(), PatternError> {
        let rest = &self.pattern[at + 2..];
        for opening in [":", "=", "!", ">", "<=", "<!"] {
            if rest.starts_with(opening) {
                self.out.push('(');
                self.copy_until(at + 1 + opening.len());
                return Ok(());
            }
        }
        if let Some(name) = rest.strip_prefix('<') {
            let end = name.find('>').ok_or_else(|| self.broken("has a group name without >"))?;
            let name = &name[..end];
            if !name.starts_with(|c: char| c.is_ascii_alphabetic())
                || !name.bytes().all(|b| b.is_ascii_alphanumeric())
            {
                return Err(
                    self.broken(format!("has the group name {name:?}; letters and digits are allowed"))
                );
            }
            self.out.push('(');
            self.copy_until(at + 3 + end);
            return Ok(());
        }
        self.flags(rest)
    }

    /// `(?i)`, `(?i-s:…)`: what changes nothing for topic names (ASCII, one line) is left out.
    fn flags(&mut self, rest: &str) -> Result<(), PatternError> {
        let end = rest.find([')', ':']).ok_or_else(|| self.broken("has a group that is not closed"))?;
        let (mut on, mut off, mut minus) = (String::new(), String::new(), false);
        for flag in rest[..end].chars() {
            match flag {
                '-' if !minus => minus = true,
                'i' | 's' | 'm' => if minus { &mut off } else { &mut on }.push(flag),
                'd' | 'u' | 'U' => {}
                'x' => return Err(self.refuse("(?x), the comments mode", "which is not supported")),
                _ => {
                    let construct = format!("(?{}", &rest[..=end]);
                    return Err(self.refuse(construct, "which Java does not know"));
                }
            }
        }
        self.out.push_str("(?");
        self.out.push_str(&on);
        if !off.is_empty() {
            self.out.push('-');
            self.out.push_str(&off);
        }
        // `(?)` is not allowed here, as nothing is left of e.g. `(?u)`: a flag that is off anyway stands in.
        if on.is_empty() && off.is_empty() && rest[end..].starts_with(')') {
            self.out.push_str("-x");
        }
        for _ in 0..=end {
            self.next();
        }
        // One more for the `?` itself.
        self.next();
        self.out.push_str(&rest[end..=end]);
        if rest[end..].starts_with(')') {
            self.open -= 1;
        }
        Ok(())
    }

    /// A character class: nested classes and `&&` mean the same on both sides.
    fn class(&mut self, at: usize) -> Result<(), PatternError> {
        self.out.push('[');
        if self.peek() == Some('^') {
            self.next();
            self.out.push('^');
        }
        if self.peek() == Some(']') {
            self.next();
            self.out.push_str(r"\]");
        }
        while let Some((inner, c)) = self.chars.next() {
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' => self.class(inner)?,
                '\\' => self.escape(true)?,
                // Operators of Rust's classes, plain characters in Java's.
                '~' => self.out.push_str(r"\~"),
                '-' if self.out.ends_with('-') || self.peek() == Some('-') => self.out.push_str(r"\-"),
                ':' if self.out.ends_with('[') => self.out.push_str(r"\:"),
                _ => self.out.push(c),
            }
        }
        Err(self.broken(format!("has a [ at {at} that is not closed")).hint_literal("["))
    }

    fn escape(&mut self, in_class: bool) -> Result<(), PatternError> {
        let Some(c) = self.next() else { return Err(self.broken("ends with a lone \\")) };
        match c {
            'd' => self.set("0-9", in_class),
            'w' => self.set("a-zA-Z0-9_", in_class),
            's' => self.set(r"\x20\t\n\x0B\f\r", in_class),
            'h' => self.set(r"\x20\t", in_class),
            'v' => self.set(r"\n\x0B\f\r", in_class),
            'D' => self.inverse("0-9"),
            'W' => self.inverse("a-zA-Z0-9_"),
            'S' => self.inverse(r"\x20\t\n\x0B\f\r"),
            'H' => self.inverse(r"\x20\t"),
            'V' => self.inverse(r"\n\x0B\f\r"),
            't' | 'n' | 'r' | 'f' => self.out.extend(['\\', c]),
            'a' => self.out.push_str(r"\x07"),
            'e' => self.out.push_str(r"\x1B"),
            'c' => {
                let control = self.next().ok_or_else(|| self.broken("ends within \\c"))?;
                self.code(u32::from(control) ^ 64);
            }
            '0' => self.octal()?,
            'x' => self.hex()?,
            'u' => self.digits(4)?,
            'p' | 'P' => self.property(c == 'P')?,
            'Q' => self.quoted(),
            // Java ends a quotation that never began without a word.
            'E' => {}
            'A' | 'z' | 'B' if !in_class => self.out.extend(['\\', c]),
            'b' if !in_class => match self.peek() {
                Some('{') => return Err(self.refuse(r"\b{…}", "which is not supported")),
                _ => self.out.push_str(r"\b"),
            },
            'Z' if !in_class => self.out.push_str(r"\z"),
            'R' if !in_class => self.out.push_str(r"(?>\r\n|[\n\x0B\f\r])"),
            'k' if !in_class => self.out.push_str(r"\k"),
            '1'..='9' if !in_class => self.out.extend(['\\', c]),
            _ if c.is_ascii_alphanumeric() => {
                return Err(self.refuse(format!("\\{c}"), "which is not supported here"));
            }
            _ => self.literal(c),
        }
        Ok(())
    }

    fn set(&mut self, members: &str, in_class: bool) {
        let (open, close) = if in_class { ("", "") } else { ("[", "]") };
        self.out.extend([open, members, close]);
    }

    fn inverse(&mut self, members: &str) {
        self.out.extend(["[^", members, "]"]);
    }

    fn code(&mut self, code: u32) {
        self.out.push_str(&format!("\\x{{{code:X}}}"));
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() || !c.is_ascii() { self.out.push(c) } else { self.code(u32::from(c)) }
    }

    /// `\Q…\E`: literal text, to the end if it is never closed.
    fn quoted(&mut self) {
        while let Some(c) = self.next() {
            if c == '\\' && self.peek() == Some('E') {
                self.next();
                return;
            }
            self.literal(c);
        }
    }

    fn octal(&mut self) -> Result<(), PatternError> {
        let mut value = 0;
        let mut seen = 0;
        while seen < 3 && value <= 0o37 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            self.next();
            value = value * 8 + digit;
            seen += 1;
        }
        if seen == 0 {
            return Err(self.broken("has \\0 without octal digits"));
        }
        self.code(value);
        Ok(())
    }

    fn hex(&mut self) -> Result<(), PatternError> {
        if self.peek() != Some('{') {
            return self.digits(2);
        }
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('}') => break,
                Some(c) => text.push(c),
                None => return Err(self.broken("has \\x{ without }")),
            }
        }
        let value =
            u32::from_str_radix(&text, 16).map_err(|_| self.broken("has \\x{…} without hex digits"))?;
        self.code(value);
        Ok(())
    }

    fn digits(&mut self, count: usize) -> Result<(), PatternError> {
        let mut value = 0;
        for _ in 0..count {
            let digit = self.next().and_then(|c| c.to_digit(16));
            value =
                value * 16 + digit.ok_or_else(|| self.broken("has \\x or \\u without enough hex digits"))?;
        }
        self.code(value);
        Ok(())
    }

    /// `\p{…}`: the POSIX names are ASCII in Java; general categories and scripts are passed on.
    fn property(&mut self, negated: bool) -> Result<(), PatternError> {
        let name = match self.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.next() {
                        Some('}') => break name,
                        Some(c) => name.push(c),
                        None => return Err(self.broken("has \\p{ without }")),
                    }
                }
            }
            Some(c) => c.to_string(),
            None => return Err(self.broken("ends within \\p")),
        };
        let posix = match name.as_str() {
            "Lower" | "javaLowerCase" => Some("lower"),
            "Upper" | "javaUpperCase" => Some("upper"),
            "ASCII" => Some("ascii"),
            "Alpha" => Some("alpha"),
            "Digit" => Some("digit"),
            "Alnum" => Some("alnum"),
            "Punct" => Some("punct"),
            "Graph" => Some("graph"),
            "Print" => Some("print"),
            "Blank" => Some("blank"),
            "Cntrl" => Some("cntrl"),
            "XDigit" => Some("xdigit"),
            "Space" | "javaWhitespace" => Some("space"),
            _ => None,
        };
        let caret = if negated { "^" } else { "" };
        if let Some(posix) = posix {
            self.out.push_str(&format!("[[:{caret}{posix}:]]"));
            return Ok(());
        }
        let unicode = name.strip_prefix("Is").unwrap_or(&name);
        let property = format!("\\p{{{caret}{unicode}}}");
        if name.starts_with("In") || name.starts_with("java") || fancy_regex::Regex::new(&property).is_err() {
            return Err(self.refuse(format!("\\p{{{name}}}"), "a property that is not supported"));
        }
        self.out.push_str(&property);
        Ok(())
    }
}

impl PatternError {
    /// Says how to write a special character as itself.
    fn hint_literal(self, character: &str) -> Self {
        self.hint(format!("a {character} that stands for itself is written \\{character}"))
    }
}
