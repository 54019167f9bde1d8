//! Where in the file a key stands: a pass of our own, because the YAML reader keeps no places.

use std::collections::HashMap;

/// Lines of keys by their path; follows block style, which topology files use.
pub(crate) struct LineIndex {
    lines: HashMap<Vec<String>, usize>,
}

impl LineIndex {
    /// Finds the keys of a document by their indentation.
    pub(crate) fn new(text: &str) -> Self {
        let mut lines = HashMap::new();
        // Keys we are below of, with their indentation.
        let mut open: Vec<(usize, String)> = Vec::new();
        let mut block_text: Option<usize> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start_matches(' ').len();
            let content = line.trim_start_matches(' ');
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if block_text.is_some_and(|outer| indent > outer) {
                continue;
            }
            block_text = None;
            let Some((key, rest)) = split_key(content) else { continue };
            open.retain(|(outer, _)| *outer < indent);
            open.push((indent, key));
            let path: Vec<String> = open.iter().map(|(_, key)| key.clone()).collect();
            lines.entry(path).or_insert(number + 1);
            if rest.starts_with(['|', '>']) {
                block_text = Some(indent);
            }
        }
        Self { lines }
    }

    /// The line of a key from 1, or of the closest key above it that could be found.
    pub(crate) fn find(&self, path: &[String]) -> Option<usize> {
        (1..=path.len()).rev().find_map(|depth| self.lines.get(&path[..depth]).copied())
    }
}

/// The key of a line and what follows it; `None` for list items and continued text.
fn split_key(content: &str) -> Option<(String, &str)> {
    let (key, rest) = match content.chars().next()? {
        quote @ ('"' | '\'') => {
            let end = content[1..].find(quote)? + 1;
            (&content[1..end], content[end + 1..].trim_start().strip_prefix(':')?)
        }
        '-' if content[1..].starts_with(' ') || content.len() == 1 => return None,
        '[' | '{' | ']' | '}' => return None,
        _ => {
            let colon = content.find(": ").or_else(|| content.trim_end().strip_suffix(':').map(str::len))?;
            (content[..colon].trim_end(), &content[colon + 1..])
        }
    };
    (rest.is_empty() || rest.starts_with(' ')).then(|| (key.to_owned(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, path: &str) -> Option<usize> {
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        LineIndex::new(text).find(&path)
    }

    const TEXT: &str = "\
# a comment: not a key
mesh: demo

clusters:
  us:
    bootstrap: localhost:9092   # with: colon
    client:
      sasl.jaas.config: |
        a: b
        c: d
      \"client.id\": x
  eu: { bootstrap: localhost:9093 }
flows:
  us-eu:
    topics:
      - a
      - \"b: c\"
    from: us
";

    #[test]
    fn block_keys_are_found() {
        assert_eq!(line(TEXT, "mesh"), Some(2));
        assert_eq!(line(TEXT, "clusters/us/bootstrap"), Some(6));
        assert_eq!(line(TEXT, "clusters/us/client/sasl.jaas.config"), Some(8));
        assert_eq!(line(TEXT, "clusters/us/client/client.id"), Some(11));
        assert_eq!(line(TEXT, "flows/us-eu/topics"), Some(15));
        assert_eq!(line(TEXT, "flows/us-eu/from"), Some(18));
    }

    #[test]
    fn what_is_not_found_is_told_by_the_key_above() {
        assert_eq!(line(TEXT, "clusters/eu/bootstrap"), Some(12));
        assert_eq!(line(TEXT, "clusters/us/client/a"), Some(7));
        assert_eq!(line(TEXT, "nothing/here"), None);
    }
}
