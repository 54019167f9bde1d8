//! Values from elsewhere: `${env:NAME}`, `${file:path:key}`, `${dir:path:key}`.
//!
//! What comes from elsewhere is taken for a secret and never shown. Only client settings may hold references:
//! everything else appears in logs, metrics and pictures.

use std::fmt;
use std::path::Path;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "(hidden)";

/// A text that may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// The text with everything filled in.
    pub value: String,
    /// Whether it must not be shown.
    pub hidden: bool,
}

impl Text {
    /// The text as people may see it.
    pub(crate) fn shown(&self) -> &str {
        if self.hidden { HIDDEN } else { &self.value }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// Whether a text refers to something elsewhere.
pub(crate) fn has_reference(text: &str) -> bool {
    ["${env:", "${file:", "${dir:"].iter().any(|start| text.contains(start))
}

/// Fills in references; `base` is the folder that relative paths start from.
///
/// Fails with what could not be found; the message never holds a value.
pub(crate) fn fill(text: &str, base: &Path) -> Result<Text, String> {
    let mut out = String::with_capacity(text.len());
    let mut hidden = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        out.push_str(before);
        let inside = reference.find('}').map(|end| &reference[2..end]);
        match inside
            .and_then(|inside| inside.split_once(':').map(|(provider, what)| (inside, provider, what)))
        {
            Some((inside, provider @ ("env" | "file" | "dir"), what)) => {
                out.push_str(&look_up(provider, what, base)?);
                hidden = true;
                rest = &reference[inside.len() + 3..];
            }
            // Not one of ours: a regular expression or a password may well hold `${`.
            _ => {
                out.push_str("${");
                rest = &reference[2..];
            }
        }
    }
    out.push_str(rest);
    Ok(Text { value: out, hidden })
}

fn look_up(provider: &str, what: &str, base: &Path) -> Result<String, String> {
    if provider == "env" {
        return std::env::var(what).map_err(|error| match error {
            std::env::VarError::NotPresent => format!("environment variable {what} is not set"),
            std::env::VarError::NotUnicode(_) => format!("environment variable {what} is not UTF-8"),
        });
    }
    // The key comes after the last colon, because paths may have colons and keys rarely do.
    let Some((path, key)) = what.rsplit_once(':') else {
        return Err(format!("${{{provider}:{what}}} needs a path and a key: ${{{provider}:path:key}}"));
    };
    let path = base.join(path);
    if provider == "dir" {
        let file = path.join(key);
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("can't read {}: {error}", file.display()))?;
        // Editors and `echo` end files with a line break that is not part of the secret.
        return Ok(text
            .strip_suffix('\n')
            .map_or(text.clone(), |t| t.strip_suffix('\r').unwrap_or(t).to_owned()));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
    property(&text, key).ok_or_else(|| format!("{} has no key {key}", path.display()))
}

/// The value of a key in a Java properties file: `key=value` or `key: value`, `#` and `!` begin comments.
fn property(text: &str, key: &str) -> Option<String> {
    let found = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once(['=', ':']))
        .filter(|(name, _)| name.trim_end() == key)
        .last()?;
    Some(found.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_give_secrets() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("s.properties"), "# note\nuser = ann\npassword=p=w:d\n").unwrap();
        std::fs::write(dir.path().join("token"), "abc\n").unwrap();
        let text = fill("${file:s.properties:user}/${file:s.properties:password}!", dir.path()).unwrap();
        assert_eq!(text.value, "ann/p=w:d!");
        assert!(text.hidden);
        assert_eq!(fill("${dir:.:token}", dir.path()).unwrap().value, "abc");
        assert_eq!(format!("{text:?}"), "\"(hidden)\"");
        assert_eq!(text.shown(), HIDDEN);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("s.properties"), "user=ann\n").unwrap();
        let missing = |text| fill(text, dir.path()).unwrap_err();
        assert!(missing("${env:MIRRORMESH_SURELY_NOT_SET}").contains("MIRRORMESH_SURELY_NOT_SET is not set"));
        assert!(missing("${file:s.properties:password}").contains("has no key password"));
        assert!(missing("${file:other:password}").contains("can't read"));
        assert!(missing("${dir:.:nothing}").contains("can't read"));
        assert!(missing("${file:alone}").contains("needs a path and a key"));
    }

    #[test]
    fn other_dollars_stay() {
        for text in ["a$", "${", "${x}", "${x:y}", "p${w", "$${env"] {
            let filled = fill(text, Path::new(".")).unwrap();
            assert_eq!((filled.value.as_str(), filled.hidden), (text, false));
        }
    }
}
