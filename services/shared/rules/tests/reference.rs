//! The same rules give the same answer as YARA-X gives: on what they are for, on changes of it, and on text at random.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use holdfast_formats::Scanner;
use holdfast_formats::testing::{
    GgufBuilder, Random, Value, hex, mutate, python_with, reader_cases, stowaways, weights,
};
use holdfast_rules::{RuleSet, Source};

/// How many texts are tried, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 3000;

/// Rules that use everything that is supported; each pattern's count and places are asked for, so that a difference shows.
const RULES: &str = r#"
rule text { strings: $a = "abcd" condition: $a }
rule text_count { strings: $a = "abcd" condition: #a > 1 and @a[2] > 9 }
rule text_nocase { strings: $a = "bcDe" nocase condition: #a == 1 }
rule text_wide { strings: $a = "abcd" wide condition: $a }
rule text_both { strings: $a = "cdef" wide ascii nocase condition: #a == 2 }
rule text_word { strings: $a = "abcd" fullword condition: $a }
rule text_word_wide { strings: $a = "abcd" wide fullword condition: $a }
rule text_xor { strings: $a = "abcdef" xor(1-255) condition: $a }
rule text_base64 { strings: $a = "abcdefgh" base64 condition: $a }
rule text_at { strings: $a = "abcd" condition: $a at 4 }
rule text_in { strings: $a = "abcd" condition: $a in (5..40) }
rule text_tail { strings: $a = "abcd" condition: $a in (filesize - 20..filesize) }
rule hex_plain { strings: $a = { 61 62 63 64 65 } condition: #a > 0 }
rule hex_hole { strings: $a = { 61 62 63 64 ?? 66 } condition: #a == 1 }
rule hex_half { strings: $a = { 61 62 63 64 6? 2? } condition: $a }
rule hex_jump { strings: $a = { 61 62 63 64 [1-6] 61 62 } condition: #a == 1 }
rule hex_choice { strings: $a = { 61 62 ( 63 64 | 41 ) 65 66 67 68 } condition: $a }
rule hex_not { strings: $a = { 61 62 63 64 ~65 } condition: #a > 1 }
rule re_class { strings: $a = /abcd[efg]{1,2}/ condition: #a > 1 }
rule re_any { strings: $a = /ab.cd.?efgh/ condition: $a }
rule re_dot_all { strings: $a = /abcd.{1,5}abcd/s condition: $a }
rule re_choice { strings: $a = /(abcd|cdef)[ \.]/ condition: #a == 2 }
rule re_case { strings: $a = /abCD/i condition: #a > 2 }
rule re_word { strings: $a = /\babcd\b/ condition: $a }
rule re_before { strings: $a = /[xyz]{1,8}abcd/ condition: #a > 1 and @a[2] == @a[1] + 1 }
rule re_wide { strings: $a = /abc.ef/ wide condition: $a }
rule re_full { strings: $a = /abcd/ fullword condition: #a == 1 }
rule numbers { condition: uint8(0) == 0x61 and uint16be(1) == 0x6263 or uint32(4) == 0x64636261 }
rule end { condition: filesize > 100 and uint8(filesize - 1) > 0x60 }
rule of_these { strings: $a = "abcd" $b = "bcde" $c = "cdef" $d = "efgh" condition: 3 of them }
rule percent { strings: $a = "abcd" $b = "bcde" $c = "cdef" $d = "efgh" condition: 75% of them and not all of them }
rule for_of { strings: $a = "abcd" $b = "efgh" condition: for all of them : ( # > 1 and @ < 64 ) }
rule others { condition: 2 of (text, hex_plain, re_case) and not text_at }
rule undefined { strings: $a = "abcd" condition: not (@a[3] > 0) or defined @a[3] }
"#;

fn here(scanner: &Arc<Scanner>, bytes: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // A report lists eight findings of a kind, so the search is asked itself.
    let mut scan = holdfast_formats::scan::Scan::new(scanner);
    scan.feed(bytes);
    let whole = scan.finish(holdfast_formats::Format::Elf, &holdfast_formats::scan::Own::All);
    for finding in whole.into_parts().0 {
        found.extend(
            finding
                .message
                .split(' ')
                .nth(2)
                .map(|name| name.trim_end_matches(':').to_owned()),
        );
    }
    found.sort();
    found
}

/// One scanner for each rule and what it needs, so that none is left out of a report.
fn scanners(sources: &[Source]) -> Vec<Arc<Scanner>> {
    let whole = RuleSet::load(sources).unwrap();
    let names: Vec<String> = whole.names().map(str::to_owned).collect();
    names
        .chunks(8)
        .map(|shown| RuleSet::load(sources).unwrap().reporting(shown).scanner())
        .collect()
}

fn texts(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let mut texts: Vec<Vec<u8>> = (0..count / 2)
        .map(|_| {
            let parts: &[&[u8]] = &[
                b"abcd",
                b"efgh",
                b"ab",
                b"cdef",
                b" ",
                b".",
                b"ABCD",
                b"a\0b\0c\0d\0",
                b"e\0f\0",
                b"xyz",
                b"\n",
                b"YWJjZGVmZ2hp",
                b"\x60\x63\x62\x65\x64\x67",
                b"e",
                b"f",
                b"A",
                b"\xff",
                b"\0",
            ];
            let length = random.below(40);
            (0..length)
                .flat_map(|_| parts[random.below(parts.len())].to_vec())
                .collect()
        })
        .collect();
    let bad = include_str!("shipped.rs");
    let mut seeds: Vec<Vec<u8>> = bad
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", \""))
        .map(|(_, text)| {
            text.trim_end_matches("\"),")
                .replace("\\\"", "\"")
                .replace("\\n", "\n")
                .into_bytes()
        })
        .flat_map(|text| {
            [
                GgufBuilder::llama()
                    .key("x", Value::String(text.clone()))
                    .build()
                    .bytes,
                text,
            ]
        })
        .collect();
    seeds.extend(stowaways().into_iter().map(|(_, _, bytes)| bytes));
    seeds.push(weights(5000));
    texts.extend(seeds.iter().cloned());
    let words: &[&[u8]] = &[b" ", b"\n", b"http", b"|", b"sh", b"A", b"\0", b"'", b"(", b"0"];
    while texts.len() < count {
        texts.push(mutate(&seeds, words, &mut random));
    }
    texts
}

#[test]
fn the_same_rules_match_as_in_yara_x() {
    const NAME: &str = "the_same_rules_match_as_in_yara_x";
    let Some(python) = python_with("yara_x", NAME) else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shipped: Vec<PathBuf> = std::fs::read_dir(root.join("../../../policies/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    shipped.sort();
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("own.yar");
    std::fs::write(&own, RULES).unwrap();
    let texts = texts(usize::try_from(reader_cases(CASES)).unwrap());
    let mut matched = 0;
    for files in [&shipped[..], &[own]] {
        let sources: Vec<Source> = files
            .iter()
            .flat_map(|file| Source::read(file).unwrap())
            .collect();
        let scanners = scanners(&sources);
        let mut child = Command::new(&python)
            .arg(root.join("tests/reference.py"))
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for text in &texts {
            let hex = hex(text);
            writeln!(input, "{hex}").unwrap();
            input.flush().unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            let there: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut ours: Vec<String> = scanners.iter().flat_map(|scanner| here(scanner, text)).collect();
            ours.sort();
            assert_eq!(ours, there, "{:?}", String::from_utf8_lossy(text));
            matched += there.len();
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
    println!(
        "[measured] {NAME}: {} texts, {matched} matches, no difference",
        texts.len()
    );
    assert!(matched > texts.len());
}
