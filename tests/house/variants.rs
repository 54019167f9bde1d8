//! What can be told can happen: every event, and every input of a state machine, is made by code that is not a test.

use std::collections::{BTreeMap, BTreeSet};

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprPath, ExprStruct, Item, ItemEnum, ItemImpl, Macro, Meta, Path, Token, Type};

use crate::tree::Tree;
use crate::{HOUSE, code, none, refused};

/// Whether the variants of an enum have to be made somewhere: events, and what machines are told.
fn is_watched(path: &str, name: &str) -> bool {
    let event = path.starts_with("src/model/") && name == "Event";
    let input = path.starts_with("src/replicator/") && name.ends_with("Input");
    event || input
}

/// Variants of watched enums that only tests make, or nobody.
fn never_made(tree: &Tree) -> Vec<String> {
    let read = code::read_rooms(tree);
    let for_tests: BTreeSet<&str> =
        read.iter().filter(|(_, code)| code.only_tests).map(|(path, _)| *path).collect();
    let mut enums: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for (path, text) in tree.rooms().filter(|(path, _)| !for_tests.contains(path)) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader { path, enums: &mut enums, made: &mut made, own: None };
        reader.visit_file(&file);
    }
    let all = enums
        .iter()
        .flat_map(|(name, variants)| variants.iter().map(move |(variant, path)| (name, variant, path)));
    all.filter(|(name, variant, _)| !made.contains(&((*name).clone(), (*variant).clone())))
        .map(|(name, variant, path)| format!("{path}: nothing but tests makes `{name}::{variant}`"))
        .collect()
}

struct Reader<'a> {
    path: &'a str,
    /// Watched enums by name, with the file of each variant.
    enums: &'a mut BTreeMap<String, BTreeMap<String, String>>,
    /// Enum and variant of everything that is made.
    made: &'a mut BTreeSet<(String, String)>,
    /// The type that `Self` is.
    own: Option<String>,
}

impl Reader<'_> {
    fn make(&mut self, path: &Path) {
        let mut parts = path.segments.iter().rev();
        if let (Some(variant), Some(name)) = (parts.next(), parts.next()) {
            let name = match (name.ident.to_string().as_str(), &self.own) {
                ("Self", Some(own)) => own.clone(),
                (name, _) => name.to_owned(),
            };
            self.made.insert((name, variant.ident.to_string()));
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::NameValue(_) => false,
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        let name = item.ident.to_string();
        if is_watched(self.path, &name) {
            let variants =
                item.variants.iter().map(|variant| (variant.ident.to_string(), self.path.to_owned()));
            self.enums.entry(name).or_default().extend(variants);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let own = match &*item.self_ty {
            Type::Path(of) => of.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.own, own);
        visit::visit_item_impl(self, item);
        self.own = outer;
    }

    fn visit_expr_struct(&mut self, expr: &'ast ExprStruct) {
        self.make(&expr.path);
        visit::visit_expr_struct(self, expr);
    }

    fn visit_expr_path(&mut self, expr: &'ast ExprPath) {
        // A tuple variant is made by its call, or handed on as a function.
        self.make(&expr.path);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        // `vec![…]`, `format!(…)` and others that take expressions; what doesn't read so makes nothing that counts.
        if let Ok(inside) = found.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            // `matches!(value, Pattern)` reads as two expressions, and the second makes nothing.
            let looked_at = if found.path.is_ident("matches") { 1 } else { inside.len() };
            inside.iter().take(looked_at).for_each(|expr| self.visit_expr(expr));
        }
    }
}

#[test]
fn every_event_and_every_input_can_happen() {
    none(
        never_made(&HOUSE),
        "Take the variant out, or let what it is for cause it. What only tests can cause is not part of the program.",
    );
}

#[test]
fn a_variant_that_only_tests_make_is_refused() {
    let tree = Tree::of(&[
        (
            "src/model/event.rs",
            "pub enum Event { Told(u8), Matched { x: u8 }, Tested, Listed, Handed(u8) }\nimpl Event { fn f() -> Self { Self::Told(1) } }",
        ),
        (
            "src/replicator/machine.rs",
            "pub enum Input { Start, Stop }\n#[cfg(test)]\nmod tests { fn f() { Input::Stop; } }",
        ),
        (
            "src/mesh/a.rs",
            "fn f(e: Event) { match e { Event::Matched { x } => {} _ => g(vec![Event::Listed]) } \
             matches!(e, Event::Tested); h(Input::Start); o.map(Event::Handed); }\n#[cfg(test)] mod checks;",
        ),
        ("src/mesh/a/checks.rs", "fn f() { Event::Tested; }"),
    ]);
    refused(never_made(&tree), &["`Event::Matched`", "`Event::Tested`", "`Input::Stop`"]);
}
