//! Documents name only what is there: relative links, anchors, and files between backticks.

use crate::tree::Tree;
use crate::{HOUSE, none, refused};

/// Endings by which a name between backticks is known as a file of this repository.
const FILES: [&str; 6] = [".rs", ".md", ".toml", ".yaml", ".yml", ".json"];

/// Names that stand for others: an example, and what is made by a run.
const PLACEHOLDERS: [&str; 2] = ["name/tests.rs", "target/"];

/// The documents that are looked at: those for people, wherever they are.
fn documents(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts(".md").filter(|(path, _)| !path.starts_with("tests/"))
}

/// Links and names that lead nowhere.
fn broken(tree: &Tree) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, text) in documents(tree) {
        for (line, text) in prose(text) {
            for link in between(text, "](", ')') {
                if let Err(what) = follow(tree, path, link) {
                    offences.push(format!("{path}:{line}: link `{link}`: {what}"));
                }
            }
            for name in text.split('`').skip(1).step_by(2).filter(|name| is_file(name)) {
                if !exists(tree, path, name) {
                    offences.push(format!("{path}:{line}: there is no `{name}`"));
                }
            }
        }
    }
    offences
}

/// The lines outside of code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        (!in_block && !fence).then_some((index + 1, line))
    })
}

fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Whether it looks like a file or folder of this repository. Paths of HTTP begin with a slash, units have no ending.
fn is_file(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let placeholder = PLACEHOLDERS.iter().any(|placeholder| name.starts_with(placeholder));
    let ends =
        name.ends_with('/') || FILES.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len());
    ends && name.chars().all(plain) && !name.starts_with('/') && !placeholder
}

/// A name is written from the root, from the document's folder, or from any folder that makes it clear.
fn exists(tree: &Tree, document: &str, name: &str) -> bool {
    let name = beside(document, name).unwrap_or_else(|| name.to_owned());
    let inside = format!("/{name}");
    tree.paths().any(|path| {
        let path = format!("/{path}");
        if name.ends_with('/') { path.contains(&inside) } else { path.ends_with(&inside) }
    })
}

/// A path with `..` in it, seen from a document.
fn beside(document: &str, name: &str) -> Option<String> {
    if !name.contains("../") && !name.starts_with("./") {
        return None;
    }
    let mut folder: Vec<&str> = document.split('/').collect();
    folder.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(folder.pop()),
            part => folder.push(part),
        }
    }
    Some(folder.join("/"))
}

fn follow(tree: &Tree, document: &str, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = match file {
        "" => document.to_owned(),
        file if folder.is_empty() => beside(document, file).unwrap_or_else(|| file.to_owned()),
        file => beside(document, &format!("./{file}")).unwrap_or_default(),
    };
    let folder = format!("{}/", target.trim_end_matches('/'));
    if !tree.paths().any(|path| path == target || path.starts_with(&folder)) {
        return Err(format!("there is no {target}"));
    }
    match (anchor, tree.text(&target)) {
        (Some(anchor), Some(text)) if target.ends_with(".md") => {
            let found = prose(text).any(|(_, line)| line.starts_with('#') && slug(line) == anchor);
            found.then_some(()).ok_or_else(|| format!("{target} has no heading for #{anchor}"))
        }
        _ => Ok(()),
    }
}

/// The anchor that forges make of a heading.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn documents_name_only_what_is_there() {
    none(broken(&HOUSE), "A file that moved takes its name in the documents along.");
}

#[test]
fn a_name_that_leads_nowhere_is_refused() {
    let text = "# One page\n[a](docs/a.md) [b](docs/b.md) [c](#one-page) [d](docs/a.md#two)\n`mesh/lag.rs` `mesh/log.rs`\n\
                `store/` `stair/` `/status` `MB/s` `name/tests.rs` `a.b.json`\n```\n`gone.rs` [x](y)\n```\n[e](https://x)\n";
    let tree = Tree::of(&[
        ("README.md", text),
        ("docs/a.md", "# One\n[up](../README.md#one-page) [gone](../gone.md) `../src/mesh/lag.rs` [b](b.md)"),
        ("src/mesh/lag.rs", ""),
        ("src/store/mod.rs", ""),
    ]);
    refused(
        broken(&tree),
        &[
            "README.md:2: link `docs/b.md`: there is no docs/b.md",
            "docs/a.md has no heading for #two",
            "README.md:3: there is no `mesh/log.rs`",
            "there is no `stair/`",
            "there is no `a.b.json`",
            "docs/a.md:2: link `../gone.md`: there is no gone.md",
            "docs/a.md:2: link `b.md`: there is no docs/b.md",
        ],
    );
}
