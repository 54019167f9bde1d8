use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, name: &str) -> bool {
    JavaPattern::compile(pattern).unwrap().matches(name).unwrap()
}

#[test]
fn the_whole_name_has_to_match() {
    assert!(matches("orders", "orders"));
    assert!(!matches("orders", "orders.v1"));
    assert!(!matches("orders", "my-orders"));
    assert!(matches("a|b", "b"));
    assert!(!matches("a|b", "ab"));
    assert!(!matches("orders", "orders\n"));
    assert!(matches(".*", "orders") && matches(".*", "") && !matches(".*", "a\nb"));
    assert!(
        matches(r"us\.o.*", "us.o") && matches(r"us\.o.*", "us.orders") && !matches(r"us\.o.*", "us-orders")
    );
    assert!(matches(r"a\.*", "a..") && !matches(r"a\.*", "ab"));
}

#[test]
fn look_around_and_possessive_quantifiers_work() {
    assert!(matches(r"(?!internal-).*", "orders"));
    assert!(!matches(r"(?!internal-).*", "internal-orders"));
    assert!(matches(r"(?!.*(secret|private)).*", "orders.v1"));
    assert!(!matches(r"(?!.*(secret|private)).*", "orders.private.v1"));
    assert!(matches(r".*(?<!-tmp)", "orders"));
    assert!(!matches(r".*(?<!-tmp)", "orders-tmp"));
    assert!(!matches("a++a", "aaa"));
    assert!(!matches("a*+a", "aaa"));
    assert!(!matches("a{1,3}+a", "aaa"));
    assert!(matches("a{1,3}a", "aaaa"));
    assert!(matches("(?>a|ab)c", "ac"));
    assert!(!matches("(?>a|ab)c", "abc"));
}

#[test]
fn java_spellings_are_translated() {
    for (pattern, yes, no) in [
        (r"\p{Alpha}+", "abc", "ab1"),
        (r"\p{Lower}\p{Digit}*", "a12", "A12"),
        (r"[\p{Alnum}_]+", "a_1", "a-1"),
        (r"\P{Alpha}+", "123", "a12"),
        (r"\p{L}+", "abc", "a1"),
        (r"\p{Lu}\p{IsLatin}*", "Abc", "abc"),
        (r"\p{javaLowerCase}+", "abc", "ABC"),
        (r"\Qa.b\E.*", "a.b-1", "axb-1"),
        (r"\Qa.b", "a.b", "axb"),
        (r"[\Q.-\E]+", ".-", "a"),
        (r"\w+", "a_1", "a-1"),
        (r"\W", "-", "_"),
        (r"[^\w.]+", "--", "a-"),
        (r"[\w&&[^\d]]+", "abc", "ab1"),
        (r"[a-c[x-z]]+", "axz", "am"),
        (r"[a-z&&[^aeiou]]+", "xyz", "xaz"),
        (r"[a.\-_]+", "a.-_", "b"),
        (r"[]a]+", "a]", "b"),
        (r"(?i)orders", "ORDERS", "order"),
        (r"(?iu)orders", "Orders", "order"),
        (r"(?u)orders", "orders", "Orders"),
        (r"a(?i:b)c", "aBc", "ABc"),
        (r"(?<name>ab)\k<name>", "abab", "abba"),
        (r"(a|b)\1", "aa", "ab"),
        (r"a\x2Eb", "a.b", "axb"),
        (r"a\u002Eb", "a.b", "axb"),
        (r"a\x{2e}b", "a.b", "axb"),
        (r"a\056b", "a.b", "axb"),
        (r"a\_\-\/b", "a_-/b", "ab"),
        (r"\<a\>", "<a>", "a"),
        (r"^orders$", "orders", "xorders"),
        (r"orders\Z", "orders", "orders1"),
        (r"orders\b.*", "orders-1", "orders1"),
        (r"a~b[~-]", "a~b~", "a~b"),
        (r"mm2.*\.internal", "mm2-x.internal", "mm2-x-internal"),
    ] {
        assert!(matches(pattern, yes), "{pattern} should match {yes}");
        assert!(!matches(pattern, no), "{pattern} should not match {no}");
    }
}

#[test]
fn what_java_refuses_or_we_cannot_say_is_named() {
    for (pattern, part) in [
        ("orders(", ""),
        ("a)(b", "a ) without ("),
        ("(?i)a)(b", "a ) without ("),
        ("*.orders", ""),
        ("[a-", "not closed"),
        ("a{b}", "not a repetition"),
        ("a{1", "without }"),
        (r"a\", "lone"),
        (r"(?x)a b", "(?x)"),
        (r"\G.*", r"\G"),
        (r"\X", r"\X"),
        (r"\N{DIGIT ONE}", r"\N"),
        (r"\b{g}a", r"\b{…}"),
        (r"\p{InGreek}", r"\p{InGreek}"),
        (r"\p{javaMirrored}", r"\p{javaMirrored}"),
        (r"(?P<a>b)", "(?P<a>b)"),
        (r"(?(1)a|b)", "(?(1)"),
        (r"(?#note)a", "(?#note)"),
        (r"\y", r"\y"),
    ] {
        let error = JavaPattern::compile(pattern).expect_err(pattern);
        assert!(error.to_string().contains(part), "{pattern}: {error}");
        assert!(error.to_string().contains(&format!("`{pattern}`")), "{pattern}: {error}");
    }
}

#[test]
fn a_runaway_pattern_is_told_instead_of_not_matching() {
    let pattern = JavaPattern::compile(r"(?:(a+)\1?)+b").unwrap();
    let error = pattern.matches(&"a".repeat(200)).unwrap_err();
    assert!(error.to_string().contains("too many steps"), "{error}");
    assert!(error.hint.is_some());
}

#[test]
fn literal_prefixes_are_certain() {
    for (pattern, prefix, exact) in [
        ("orders", "orders", true),
        (r"us\.orders", "us.orders", true),
        ("us-.*", "us-", false),
        ("ab?c", "a", false),
        ("ab+", "a", false),
        ("a|b", "", false),
        ("(?i)orders", "", false),
        (r"a\d", "a", false),
        (".*", "", false),
    ] {
        assert_eq!(literal_prefix(pattern), (prefix.to_owned(), exact), "{pattern}");
    }
}

proptest! {
    #[test]
    fn a_quoted_name_matches_itself_only(name in "[a-zA-Z0-9._-]{1,40}", other in "[a-zA-Z0-9._-]{1,40}") {
        let pattern = JavaPattern::compile(&format!(r"\Q{name}\E")).unwrap();
        prop_assert!(pattern.matches(&name).unwrap());
        prop_assert_eq!(pattern.matches(&other).unwrap(), name == other);
    }

    #[test]
    fn no_pattern_makes_it_panic(pattern in r"[a-c.*+?|()\[\]{}\\^$&~:,0-9<>=!PQEdpw-]{0,24}", name in "[a-c.-]{0,12}") {
        if let Ok(pattern) = JavaPattern::compile(&pattern) {
            let _answer: Result<bool, PatternError> = pattern.matches(&name);
        }
    }
}
