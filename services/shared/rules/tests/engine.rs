//! What rules mean: patterns, conditions, and what is refused when they are loaded.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::sync::Arc;

use holdfast_contract::report::Finding;
use holdfast_formats::{FileInspector, Scanner};
use holdfast_rules::{RuleSet, Source};

fn source(text: &str) -> Source {
    Source {
        name: "site.yar".to_owned(),
        text: text.to_owned(),
    }
}

fn scanner(text: &str) -> Arc<Scanner> {
    RuleSet::load(&[source(text)]).unwrap().scanner()
}

fn findings(scanner: &Arc<Scanner>, bytes: &[u8], cut: usize) -> Vec<Finding> {
    let mut inspector = FileInspector::new("model").scanning(scanner);
    for chunk in bytes.chunks(cut.max(1)) {
        inspector.feed(chunk);
    }
    let (findings, _) = inspector.finish().findings.into_parts();
    findings
        .into_iter()
        .filter(|finding| finding.id.starts_with("HF-YAR-"))
        .collect()
}

/// Whether a rule with these patterns and this condition holds.
fn holds(strings: &str, condition: &str, bytes: &[u8]) -> bool {
    let strings = if strings.is_empty() {
        String::new()
    } else {
        format!("strings: {strings}")
    };
    let scanner = scanner(&format!("rule r {{ {strings} condition: {condition} }}"));
    let found = findings(&scanner, bytes, bytes.len());
    for cut in [1, 3, 100, 4096, 7000] {
        assert_eq!(
            findings(&scanner, bytes, cut),
            found,
            "{strings} {condition} in pieces of {cut}"
        );
    }
    !found.is_empty()
}

fn refused(text: &str) -> String {
    RuleSet::load(&[source(text)]).unwrap_err().to_string()
}

#[test]
fn texts_in_each_of_their_spellings() {
    for (pattern, hit, miss) in [
        (r#"$a = "abcd""#, &b"xxabcdxx"[..], &b"xxabCdxx"[..]),
        (r#"$a = "abcd" nocase"#, b"xxaBCdxx", b"xxabxdxx"),
        (r#"$a = "abcd" wide"#, b"xa\0b\0c\0d\0x", b"xabcdx"),
        (r#"$a = "abcd" wide ascii"#, b"xabcdx", b"xab\0cdx"),
        (r#"$a = "abcd" fullword"#, b"x abcd.", b"xabcd "),
        (r#"$a = "abcd" fullword"#, b"abcd", b"abcd1"),
        (
            r#"$a = "abcd" wide fullword"#,
            b" \0a\0b\0c\0d\0 \0",
            b"x\0a\0b\0c\0d\0 \0",
        ),
        (
            r#"$a = "abcd" xor"#,
            b"..\x20\x23\x22\x25..",
            b"..\x20\x23\x22\x24..",
        ),
        (r#"$a = "abcd" xor(1-3)"#, b"..\x60\x63\x62\x65..", b"..abcd.."),
        (
            r#"$a = "This program" base64"#,
            b"..VGhpcyBwcm9ncmFt..",
            b"..VGhpcyBwcm9ncmF_..",
        ),
        (
            r#"$a = "This program" base64"#,
            b"..eVGhpcyBwcm9ncmFt",
            b"nothing at all",
        ),
        (r#"$a = "a\x00\"\tb""#, b"..a\0\"\tb", b"..a \"\tb"),
    ] {
        assert!(holds(pattern, "$a", hit), "{pattern}");
        assert!(!holds(pattern, "$a", miss), "{pattern}");
    }
}

#[test]
fn numbers_with_holes_and_choices() {
    for (pattern, hit, miss) in [
        ("$a = { 41 42 43 44 }", &b"xABCDx"[..], &b"xABCEx"[..]),
        ("$a = { 41 42 43 44 ?? 46 }", b"ABCD_F", b"ABCDF"),
        ("$a = { 41 42 43 44 4? }", b"ABCDO", b"ABCD_"),
        ("$a = { 41 42 43 44 ~45 }", b"ABCDF", b"ABCDE"),
        ("$a = { 41 42 [2-4] 43 44 45 46 }", b"AB...CDEF", b"AB.CDEF"),
        (
            "$a = { 41 42 [0-1000] 43 44 45 46 }",
            &[b"AB", &[b'.'; 1000][..], b"CDEF"].concat(),
            &[b"AB", &[b'.'; 1001][..], b"CDEF"].concat(),
        ),
        ("$a = { 41 ( 42 | 43 44 ) 45 46 47 48 }", b"ACDEFGH", b"ABDEFGH"),
    ] {
        assert!(holds(pattern, "$a", hit), "{pattern}");
        assert!(!holds(pattern, "$a", miss), "{pattern}");
    }
}

#[test]
fn expressions() {
    for (pattern, hit, miss) in [
        (r"$a = /abcd[0-9]{2,3}/", &b"abcd12"[..], &b"abcd1"[..]),
        (r"$a = /abcd/i", b"ABcd", b"ABxd"),
        (r"$a = /ab.cd.efgh/", b"abxcd.efgh", b"ab\ncd.efgh"),
        (r"$a = /ab.cd.efgh/s", b"ab\ncd.efgh", b"abcdefgh"),
        (r"$a = /(curl|wget)\s+http/", b"wget  http", b"wgethttp"),
        (r"$a = /[a-z]+\.example/", b"a.example", b"A.example"),
        (r"$a = /\babcd\b/", b"-abcd-", b"-abcde"),
        (r"$a = /ab\<cd\/ef/", b"ab<cd/ef", b"abcd/ef"),
        (r"$a = /abcd\x00\xff/", b"abcd\0\xff", b"abcd\0\xfe"),
        (r"$a = /abcd+e/ wide", b"a\0b\0c\0d\0d\0e\0", b"abcdde"),
        (r"$a = /abcd/ fullword", b" abcd ", b"abcde"),
    ] {
        assert!(holds(pattern, "$a", hit), "{pattern}");
        assert!(!holds(pattern, "$a", miss), "{pattern}");
    }
}

#[test]
fn conditions() {
    let strings = r#"$a = "aaab" $b = "bbbc" $b2 = "cccd""#;
    // 0: aaab, 10: aaab, 20: bbbc.
    let bytes = b"aaab......aaab......bbbc......";
    for (condition, expected) in [
        ("true", true),
        ("false", false),
        ("$a and $b", true),
        ("$a and $b2", false),
        ("$a or $b2", true),
        ("not $b2 and ($a or false)", true),
        ("any of them", true),
        ("all of them", false),
        ("2 of them", true),
        ("3 of them", false),
        ("none of them", false),
        ("none of ($b2)", true),
        ("50% of them", true),
        ("70% of them", false),
        ("all of ($a, $b)", true),
        ("all of ($b*)", false),
        ("any of ($b*)", true),
        ("#a == 2 and #b == 1 and #b2 == 0", true),
        ("#a in (5..30) == 1", true),
        ("@a == 0 and @a[2] == 10 and @b[1] == 20", true),
        ("@a[3] == 0", false),
        ("not defined @a[3]", true),
        ("$a at 10", true),
        ("$a at 11", false),
        ("$b in (15..20)", true),
        ("$b in (21..30)", false),
        ("$b in (filesize - 10..filesize)", true),
        ("$b in (filesize - 9..filesize)", false),
        ("any of ($b, $b2) at 20", true),
        ("any of them in (1..5)", false),
        ("filesize == 30", true),
        ("filesize > 1KB", false),
        (
            "uint8(0) == 0x61 and uint16(2) == 0x6261 and uint16be(2) == 0x6162",
            true,
        ),
        ("uint32(0) == 0x62616161 and int8(4) == 46", true),
        ("uint16(filesize - 2) == 0x2e2e", true),
        ("uint8(500) == 0", false),
        (
            "(1 + 2 * 3 - 4 \\ 2) % 4 == 1 and (1 << 4 | 3) ^ 1 == 18 and -1 < 0 and ~0 == -1",
            true,
        ),
        ("for any of them : ( # == 2 )", true),
        ("for all of ($a, $b) : ( $ at 20 or @ == 0 )", true),
        ("for 2 of them : ( @ > 5 )", false),
    ] {
        assert_eq!(holds(strings, condition, bytes), expected, "{condition}");
    }
}

#[test]
fn rules_name_each_other() {
    let scanner = scanner(
        r#"private rule base { strings: $a = "abcd" condition: $a }
           rule second : tag { meta: severity = "low" condition: base and filesize < 100 }
           rule third { meta: severity = "medium" description = "why" condition: any of (second, base) }"#,
    );
    let found = findings(&scanner, b"...abcd", 2);
    let told: Vec<_> = found
        .iter()
        .map(|finding| (finding.id.as_str(), finding.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("HF-YAR-003", "the rule third matches: why"),
            ("HF-YAR-004", "the rule second matches")
        ]
    );
    assert_eq!(findings(&scanner, b"...abcx", 2), []);
}

#[test]
fn a_global_rule_holds_for_all() {
    let scanner = scanner(
        r#"global private rule small { condition: filesize < 8 }
           rule found { strings: $a = "abcd" condition: $a }"#,
    );
    assert_eq!(findings(&scanner, b"...abcd", 7).len(), 1);
    assert_eq!(findings(&scanner, b"....abcd", 8).len(), 0);
}

#[test]
fn the_first_match_is_the_place() {
    let scanner = scanner(r#"rule r { strings: $a = "second" $b = "first" condition: all of them }"#);
    let found = findings(&scanner, b"... first second", 16);
    assert_eq!((found[0].offset, found[0].id.as_str()), (Some(4), "HF-YAR-002"));
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name_and_reason() {
    for (text, why) in [
        ("rule r { condition: ", "site.yar, line 1"),
        (
            "\n\nimport \"pe\"\nrule r { condition: pe.is_dll() }",
            "site.yar, line 3: modules are not supported",
        ),
        ("include \"other.yar\"", "include is not supported"),
        (
            "rule r { strings: $a = \"abc\" condition: $a }",
            "the rule r cannot be used: $a: it has no four bytes",
        ),
        (
            "rule r { strings: $a = { 00 00 00 00 00 } condition: $a }",
            "$a: it has no four bytes",
        ),
        (
            "rule r { strings: $a = { 41 42 43 44 [-] 45 } condition: $a }",
            "has no end",
        ),
        (
            "rule r { strings: $a = { 41 42 43 44 [0-5000] 45 } condition: $a }",
            "not between 0 and 1024",
        ),
        (
            "rule r { strings: $a = /^abcd/ condition: $a }",
            "^ and $ are not supported",
        ),
        (
            "rule r { strings: $a = /[a-z]+/ condition: $a }",
            "$a: it has no four bytes",
        ),
        ("rule r { strings: $a = /abcd(/ condition: $a }", "malformed"),
        (
            "rule r { strings: $a = \"abcd\" condition: !a == 4 }",
            "the length of a match",
        ),
        ("rule r { condition: entrypoint == 0 }", "entrypoint"),
        (
            "rule r { condition: for any i in (1..3) : ( i == 2 ) }",
            "a loop over numbers",
        ),
        (
            "rule r { condition: uint32(100000) == 1 }",
            "a number that is not kept",
        ),
        ("rule r { condition: other }", "\"other\" is no rule before it"),
        (
            "rule r { condition: true } rule r { condition: true }",
            "another rule of this name",
        ),
        (
            "rule r { meta: severity = \"grave\" condition: true }",
            "its severity \"grave\"",
        ),
        (
            "rule r { strings: $a = \"abcd\" condition: @a[9999] == 1 }",
            "match number 9999",
        ),
    ] {
        let told = refused(text);
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn matches_are_counted_across_borders_and_beyond_what_is_remembered() {
    let bytes = b"abcd....".repeat(3000);
    assert!(holds(
        r#"$a = "abcd""#,
        "#a == 3000 and @a[256] == 2040 and $a at 23992",
        &bytes
    ));
    let bytes = b"abcdefgh....".repeat(900);
    assert!(holds(
        "$a = /[a-d]+efgh/",
        "#a == 3600 and @a[4] == 3 and @a[5] == 12",
        &bytes
    ));
}
