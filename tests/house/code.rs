//! Rust files as tokens: the paths that they name, the modules that are only for tests, and the tests.
//!
//! Tokens, because then the inside of macros counts like everything else, while texts and comments don't.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::tree::Tree;

/// A path that a file names, in a `use` or anywhere else.
#[derive(Debug)]
pub struct Named {
    /// Its parts; `self` and `super` are resolved, so a path into this crate begins with `crate`.
    pub path: Vec<String>,
    /// The line of its first part.
    pub line: usize,
    /// Whether it stands in code that only tests see.
    pub in_test: bool,
}

/// A function with a `#[test]` of some kind.
#[derive(Debug)]
pub struct Test {
    pub name: String,
    /// Its documentation.
    pub doc: String,
    pub line: usize,
}

/// What is read from one file.
#[derive(Debug, Default)]
pub struct Code {
    pub named: Vec<Named>,
    pub tests: Vec<Test>,
    /// Modules declared `#[cfg(test)]` that are files of their own.
    pub test_modules: Vec<Vec<String>>,
    /// Whether only tests see the whole file; known where all files are read together.
    pub only_tests: bool,
}

/// The module that a file under `src/` is: `src/a/b.rs` and `src/a/b/mod.rs` are `["a", "b"]`.
pub fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// Reads a file.
pub fn read(path: &str, text: &str) -> Code {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut reader = Reader { code: Code::default(), module: module_of(path), in_test: false };
    reader.read(tokens);
    reader.code
}

/// Every file of the rooms, its paths marked as those of tests where the whole file is only for tests.
pub fn read_rooms(tree: &Tree) -> Vec<(&str, Code)> {
    let mut all: Vec<_> = tree.rooms().map(|(path, text)| (path, read(path, text))).collect();
    let roots =
        ["src/lib.rs", "src/main.rs"].into_iter().filter_map(|path| Some(read(path, tree.text(path)?)));
    let mut for_tests: BTreeSet<Vec<String>> = roots.flat_map(|code| code.test_modules).collect();
    for_tests.extend(all.iter().flat_map(|(_, code)| code.test_modules.iter().cloned()));
    for (path, code) in &mut all {
        let module = module_of(path);
        code.only_tests = (1..=module.len()).any(|depth| for_tests.contains(&module[..depth]));
        if code.only_tests {
            code.named.iter_mut().for_each(|named| named.in_test = true);
        }
    }
    all
}

struct Reader {
    code: Code,
    module: Vec<String>,
    in_test: bool,
}

/// What the attributes before an item say.
#[derive(Default)]
struct Attributes {
    doc: String,
    for_tests: bool,
    is_test: bool,
}

impl Reader {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut attributes = Attributes::default();
        while at < tokens.len() {
            if let Some((group, length)) = attribute(&tokens[at..]) {
                attributes.add(group);
                self.doc_links(group);
                self.inside(group);
                at += length;
                continue;
            }
            let outside = self.in_test;
            self.in_test |= attributes.for_tests;
            let end = if attributes.for_tests && !outside { item_end(&tokens, at) } else { at };
            loop {
                at += self.step(&tokens[at..], &attributes);
                if at > end || at >= tokens.len() {
                    break;
                }
            }
            self.in_test = outside;
            // Words before `fn` and `mod`, such as `pub` and `async`, keep what the attributes said.
            if !matches!(&tokens[at - 1], TokenTree::Ident(_)) {
                attributes = Attributes::default();
            }
        }
    }

    /// Reads one token or one path; returns how many tokens that were.
    fn step(&mut self, tokens: &[TokenTree], attributes: &Attributes) -> usize {
        match tokens {
            [TokenTree::Ident(word), ..] if word == "use" => self.use_tree(&tokens[1..]) + 1,
            [TokenTree::Ident(word), TokenTree::Ident(name), rest @ ..] if word == "mod" => {
                self.module.push(name.to_string());
                match rest {
                    [TokenTree::Group(body), ..] => self.read(body.stream()),
                    _ if self.in_test || attributes.for_tests => {
                        self.code.test_modules.push(self.module.clone());
                    }
                    _ => {}
                }
                self.module.pop();
                3
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), ..] if word == "fn" => {
                if attributes.is_test {
                    let (name, line) = (name.to_string(), name.span().start().line);
                    self.code.tests.push(Test { name, doc: attributes.doc.clone(), line });
                }
                2
            }
            [TokenTree::Group(group), ..] => {
                self.inside(group);
                1
            }
            [TokenTree::Ident(_), ..] => self.path(tokens),
            _ => 1,
        }
    }

    fn inside(&mut self, group: &Group) {
        self.read(group.stream());
    }

    /// `a::b::c`, wherever it stands.
    fn path(&mut self, tokens: &[TokenTree]) -> usize {
        let mut path = Vec::new();
        let mut at = 0;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(word.to_string());
            at += 1;
            if !is_double_colon(&tokens[at..]) {
                break;
            }
            at += 2;
        }
        if path.len() > 1 {
            self.name(path, tokens[0].span().start().line);
        }
        at
    }

    /// What follows `use`, up to its semicolon.
    fn use_tree(&mut self, tokens: &[TokenTree]) -> usize {
        let end = tokens.iter().position(is_semicolon).unwrap_or(tokens.len());
        self.use_branch(&tokens[..end], &[]);
        end
    }

    fn use_branch(&mut self, tokens: &[TokenTree], front: &[String]) {
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','))
        {
            let mut path = front.to_vec();
            for token in branch {
                match token {
                    TokenTree::Ident(word) if word == "as" => break,
                    TokenTree::Ident(word) => path.push(word.to_string()),
                    TokenTree::Group(group) => {
                        let below: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.use_branch(&below, &path);
                        path.clear();
                    }
                    TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                }
            }
            if let (Some(first), true) = (branch.first(), path.len() > front.len() || !path.is_empty()) {
                self.name(path, first.span().start().line);
            }
        }
    }

    /// Links of the documentation into the crate: they say what a reader of this file has to know.
    fn doc_links(&mut self, group: &Group) {
        let doc = doc_of(group);
        for (at, _) in doc.match_indices("crate::") {
            let end = doc[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = &doc[at..end.map_or(doc.len(), |end| at + end)];
            let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            self.name(path, group.span_open().start().line);
        }
    }

    fn name(&mut self, path: Vec<String>, line: usize) {
        let path = self.resolved(path);
        self.code.named.push(Named { path, line, in_test: self.in_test });
    }

    /// Replaces leading `self` and `super` by where they lead.
    fn resolved(&self, path: Vec<String>) -> Vec<String> {
        let up = path.iter().take_while(|part| matches!(part.as_str(), "self" | "super")).count();
        if up == 0 || path.len() == 1 && path[0] == "self" {
            return path;
        }
        let levels = path[..up].iter().filter(|part| *part == "super").count();
        let base = &self.module[..self.module.len().saturating_sub(levels)];
        ["crate".to_owned()]
            .into_iter()
            .chain(base.iter().cloned())
            .chain(path[up..].iter().cloned())
            .collect()
    }
}

impl Attributes {
    fn add(&mut self, group: &Group) {
        self.doc.push_str(&doc_of(group));
        let words: Vec<String> = group
            .stream()
            .into_iter()
            .filter_map(|token| match token {
                TokenTree::Ident(word) => Some(word.to_string()),
                TokenTree::Group(group) => Some(group.stream().to_string()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => None,
            })
            .collect();
        self.for_tests |= words == ["cfg", "test"];
        // `#[test]`, `#[tokio::test]`, either with or without arguments.
        let path: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "cfg").collect();
        self.is_test |= path.first() == Some(&"test") || path.get(..2) == Some(&["tokio", "test"]);
    }
}

/// An attribute's brackets, and how many tokens it is long.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, usize)> {
    let is_bracket = |group: &Group| group.delimiter() == Delimiter::Bracket;
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && is_bracket(group) =>
        {
            Some((group, 2))
        }
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && bang.as_char() == '!' && is_bracket(group) =>
        {
            Some((group, 3))
        }
        _ => None,
    }
}

/// The text of `#[doc = "…"]`, else nothing; a line of it ends in a line end.
fn doc_of(group: &Group) -> String {
    let mut tokens = group.stream().into_iter();
    match (tokens.next(), tokens.next(), tokens.next()) {
        (Some(TokenTree::Ident(word)), Some(_), Some(TokenTree::Literal(text))) if word == "doc" => {
            format!("{text}\n")
        }
        _ => String::new(),
    }
}

/// Index of the token with which the item that begins at `at` ends: its braces or its semicolon.
fn item_end(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_semicolon(token),
    };
    tokens[at..].iter().position(is_end).map_or(tokens.len(), |length| at + length)
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(a), TokenTree::Punct(b), ..] if a.as_char() == ':' && b.as_char() == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(String, bool)> {
        let code = read("src/a/b.rs", text);
        code.named.into_iter().map(|named| (named.path.join("::"), named.in_test)).collect()
    }

    fn plain(text: &str) -> Vec<String> {
        named(text).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(
            plain("use crate::{x::Y, z::{self, W as V}, *};"),
            ["crate::x::Y", "crate::z::self", "crate::z::W", "crate"]
        );
        assert_eq!(
            plain("fn f(x: crate::x::Y) { matches!(x, crate::z::Z(_)); }"),
            ["crate::x::Y", "crate::z::Z"]
        );
        assert_eq!(plain("/// See [`crate::x::Y`].\nfn f() {}"), ["crate::x::Y"]);
        assert_eq!(plain("// crate::x::Y\nconst A: &str = \"crate::x::Y\";"), [""; 0]);
        assert_eq!(plain("use tokio;"), ["tokio"]);
    }

    #[test]
    fn relative_paths_are_resolved() {
        assert_eq!(plain("use super::c::D; use self::e::F;"), ["crate::a::c::D", "crate::a::b::e::F"]);
        assert_eq!(plain("mod t { use super::super::super::g::H; }"), ["crate::g::H"]);
    }

    #[test]
    fn what_only_tests_see_is_marked() {
        let text = "#[cfg(test)] use x::A; use x::B; #[cfg(test)] mod tests { use x::C; } use x::D;";
        let expected = [("x::A", true), ("x::B", false), ("x::C", true), ("x::D", false)];
        assert_eq!(named(text), expected.map(|(path, in_test)| (path.to_owned(), in_test)));
        let tree = Tree::of(&[
            ("src/a/mod.rs", "#[cfg(test)] pub(crate) mod helpers; mod real;"),
            ("src/a/helpers.rs", "use x::A;"),
            ("src/a/helpers/more.rs", "use x::A;"),
            ("src/a/real.rs", "use x::A;"),
        ]);
        let read = read_rooms(&tree);
        let marked: Vec<_> = read.iter().filter(|(_, code)| code.named.iter().any(|n| n.in_test)).collect();
        assert_eq!(
            marked.iter().map(|(path, _)| *path).collect::<Vec<_>>(),
            ["src/a/helpers.rs", "src/a/helpers/more.rs"]
        );
    }

    #[test]
    fn tests_are_found_in_macros_too() {
        let text = "proptest! { /// R7: x\n #[test] fn a(x in 0..3) {} }\n#[tokio::test(start_paused = true)]\nasync fn b() {}\nfn c() {}";
        let tests = read("tests/x.rs", text).tests;
        assert_eq!(tests.iter().map(|test| test.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(tests[0].doc.contains("R7: x"));
    }
}
