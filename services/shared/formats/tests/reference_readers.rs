//! GGUF, safetensors and NumPy files beside the reference packages: what both read is the same, and where one reads what the other
//! refuses, the reason stands in `docs/differences.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use holdfast_contract::report::Severity;
use holdfast_formats::FileInspector;
use holdfast_formats::testing::{
    GgufBuilder, Random, SafetensorsBuilder, Value, ask, hex, mutate, python_with, reader_cases, weights,
};

/// Changed files of each kind, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 1000;
const DIFFERENCES: &str = include_str!("../../../../docs/differences.md");

fn npy(header: &str, data: usize) -> Vec<u8> {
    let mut header = header.to_owned();
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [
        b"\x93NUMPY\x01\0",
        length.as_slice(),
        header.as_bytes(),
        &weights(data),
    ]
    .concat()
}

/// A kind, with well-formed files of it and words that are put in now and then.
type Kind = (&'static str, Vec<Vec<u8>>, Vec<&'static [u8]>);

fn kinds() -> Vec<Kind> {
    let split = GgufBuilder::llama()
        .set("split.no", Value::U16(0))
        .set("split.count", Value::U16(2));
    let gguf = vec![
        GgufBuilder::llama().build().bytes,
        GgufBuilder::llama().version(2).build().bytes,
        GgufBuilder::llama().alignment(64).build().bytes,
        GgufBuilder::new()
            .key("a.list", Value::texts(["x", "y"]))
            .key("a.flag", Value::Bool(true))
            .tensor("t", &[4, 2], 1, 16)
            .build()
            .bytes,
        split.build().bytes,
    ];
    let safetensors = vec![
        SafetensorsBuilder::small().build().bytes,
        SafetensorsBuilder::new()
            .tensor("a", "F64", &[2, 2], 32)
            .build()
            .bytes,
        SafetensorsBuilder::new()
            .tensor("z", "F16", &[0, 3], 0)
            .tensor("y", "U8", &[5], 5)
            .build()
            .bytes,
    ];
    let numpy = vec![
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", 48),
        npy("{'descr': '|u1', 'fortran_order': True, 'shape': (), }", 1),
        npy(
            "{'descr': [('a', '<i2'), ('b', '|S3')], 'fortran_order': False, 'shape': (4,), }",
            20,
        ),
    ];
    vec![
        (
            "gguf",
            gguf,
            vec![b"GGUF", b"\0\0\0\0", b"general.alignment", b"\x20\0\0\0", b"\xff"],
        ),
        (
            "safetensors",
            safetensors,
            vec![
                b"\"", b"{", b"}", b",", b" ", b"0", b"\"F32\"", b"[1]", b"\\u0061",
            ],
        ),
        (
            "npy",
            numpy,
            vec![b" ", b"'", b"(", b"1,", b"True", b"<f8", b"|O", b"L"],
        ),
    ]
}

/// What changes hardly ever lead to.
fn odd() -> Vec<(&'static str, Vec<u8>)> {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let headers = [
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#.to_owned(),
        format!(r#"{{"a":{entry},"a":{entry}}}"#),
        format!("{{\"a\":{entry}}}\t\t\t"),
        format!(r#"{{"__metadata__":{{"run":"import os; os.system('true')"}},"a":{entry}}}"#),
        format!("{{\"a\u{202e}\":{entry}}}"),
    ];
    let files = headers.map(|header| ("safetensors", SafetensorsBuilder::raw(header, &[7]).bytes));
    files.into_iter().collect()
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let count = reader_cases(CASES);
    let mut cases = odd();
    for (kind, seeds, words) in kinds() {
        cases.extend(seeds.iter().map(|seed| (kind, seed.clone())));
        for seed in 0..count {
            let mut random = Random::new(seed);
            let mut bytes = seeds[random.below(seeds.len())].clone();
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            cases.push((kind, bytes));
            cases.push((kind, mutate(&seeds, &words, &mut random)));
        }
    }
    cases.retain(|(_, bytes)| !bytes.is_empty());
    cases
}

/// What the packages say to each file.
fn answers(python: &str, cases: &[(&str, Vec<u8>)]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference_readers.py");
    let lines = cases.iter().map(|(kind, bytes)| format!("{kind} {}", hex(bytes)));
    ask(python, &script, &[], lines).unwrap().0
}

/// What we say: the rules that refuse the file, or the number of arrays and of their elements.
fn judged(bytes: &[u8]) -> Result<(u64, u64), BTreeSet<String>> {
    let mut inspector = FileInspector::new("model");
    inspector.feed(bytes);
    let outcome = inspector.finish();
    if !outcome.findings.refuse() {
        return Ok(outcome
            .facts
            .map_or((0, 0), |facts| (facts.tensors, facts.parameters)));
    }
    let (findings, _) = outcome.findings.into_parts();
    let grave = findings
        .into_iter()
        .filter(|finding| finding.severity >= Severity::High);
    Err(grave.map(|finding| finding.id).collect())
}

/// Whether the page explains that one of the two refuses a file of this kind for this reason.
fn is_explained(kind: &str, reason: &str) -> bool {
    DIFFERENCES
        .lines()
        .any(|line| line.starts_with(&format!("| {kind} |")) && line.contains(&format!("`{reason}`")))
}

#[test]
fn what_the_reference_packages_read_is_read_alike_or_the_difference_is_explained() {
    let Some(name) = python_with("gguf, numpy, safetensors", "reference readers") else {
        return;
    };
    let cases = cases();
    let answers = answers(&name, &cases);
    assert_eq!(answers.len(), cases.len());
    let mut counts: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut unexplained = BTreeMap::new();
    for ((kind, bytes), answer) in cases.iter().zip(&answers) {
        let mut words = answer.split(' ');
        let read = words.next() == Some("read");
        let mut count = |what: String| *counts.entry((kind, what)).or_default() += 1;
        match (judged(bytes), read) {
            (Ok((arrays, elements)), true) => {
                count("read by both".to_owned());
                let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
                assert_eq!(number(words.next()), Some(arrays), "{kind} {bytes:x?}");
                assert_eq!(number(words.next()), Some(elements), "{kind} {bytes:x?}");
            }
            (Err(_), false) => count("refused by both".to_owned()),
            (Err(rules), true) => {
                let first = rules.iter().next().cloned().unwrap_or_default();
                // Several rules may refuse one file; one that is explained is enough.
                let rule = rules
                    .into_iter()
                    .find(|rule| is_explained(kind, rule))
                    .unwrap_or(first);
                if !is_explained(kind, &rule) {
                    unexplained.insert((*kind, rule.clone()), bytes);
                }
                count(format!("refused here only: {rule}"));
            }
            (Ok(_), false) => {
                let reason = words.next().unwrap_or_default().to_owned();
                if !is_explained(kind, &reason) {
                    unexplained.insert((*kind, reason.clone()), bytes);
                }
                count(format!("refused there only: {reason}"));
            }
        }
    }
    for ((kind, what), count) in &counts {
        println!("{kind}: {count} {what}");
    }
    let mut list = String::new();
    for ((kind, reason), bytes) in &unexplained {
        let _ = writeln!(
            list,
            "{kind} {reason}: {}",
            String::from_utf8_lossy(bytes).escape_debug()
        );
    }
    assert!(unexplained.is_empty(), "not in docs/differences.md:\n{list}");
    for kind in ["gguf", "safetensors", "npy"] {
        assert!(counts[&(kind, "read by both".to_owned())] > 100, "{counts:?}");
    }
}
