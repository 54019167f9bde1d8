//! The files of a repository, or of a made-up one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files by their paths from the root, with `/` between the parts.
pub struct Tree {
    texts: BTreeMap<String, String>,
    /// Paths of all files, those that are not text included.
    paths: BTreeSet<String>,
}

/// Endings of the files that are read as text.
const TEXT: [&str; 4] = [".rs", ".md", ".toml", ".lock"];

/// Hidden folders that are ours.
const OURS: [&str; 3] = [".cargo", ".ci", ".github"];

impl Tree {
    /// Reads this repository; what is built or hidden is left out, but for [`OURS`].
    pub fn read() -> Self {
        let mut tree = Self { texts: BTreeMap::new(), paths: BTreeSet::new() };
        tree.add(Path::new(env!("CARGO_MANIFEST_DIR")), "");
        assert!(tree.paths.len() > 100, "the repository was not found");
        tree
    }

    /// A made-up tree.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let texts: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { paths: texts.keys().cloned().collect(), texts }
    }

    fn add(&mut self, folder: &Path, below: &str) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let hidden = name.starts_with('.') && !OURS.contains(&name.as_str());
            if hidden || (below.is_empty() && name == "target") {
                continue;
            }
            let path = format!("{below}{name}");
            if entry.file_type().expect("it is there").is_dir() {
                self.add(&entry.path(), &format!("{path}/"));
                continue;
            }
            if TEXT.iter().any(|ending| path.ends_with(ending)) {
                let text = fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("{path}: {error}"));
                self.texts.insert(path.clone(), text);
            }
            self.paths.insert(path);
        }
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every text whose path ends so, with its path.
    pub fn texts(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Rust files below `src/`, but for the two that belong to no room.
    pub fn rooms(&self) -> impl Iterator<Item = (&str, &str)> {
        let crate_roots = ["src/lib.rs", "src/main.rs"];
        self.texts(".rs").filter(move |(path, _)| path.starts_with("src/") && !crate_roots.contains(path))
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }
}
