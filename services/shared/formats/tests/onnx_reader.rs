//! What is admitted as ONNX is read by the `onnx` package too, with the same tensors and without an operator that was not judged.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use holdfast_formats::testing::{Proto, Random, mutate, onnx};
use holdfast_formats::{FileInspector, Format};

/// How many changed models are tried, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 4000;

fn seeds() -> Vec<Vec<u8>> {
    let function = Proto::new()
        .text(1, "F")
        .text(4, "a")
        .text(5, "b")
        .message(7, &onnx::node("", "Relu", &["a"], &["b"]))
        .message(9, &onnx::entry("", "").int(2, 17))
        .text(10, "mine");
    let texts = onnx::shape(8, &[2]).text(6, "a").text(6, "bc").text(8, "texts");
    let small = onnx::shape(22, &[3]).packed(5, &[0x21, 0x03]).text(8, "small");
    let graph = onnx::graph(&[onnx::node("mine", "F", &["x"], &["y"])], &[texts, small]);
    vec![
        onnx::small().build(),
        onnx::model(&graph).message(25, &function).build(),
    ]
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[test]
fn what_is_admitted_is_read_alike() {
    const NAME: &str = "what_is_admitted_is_read_alike";
    let python = std::env::var("HOLDFAST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_reader.py");
    let has = Command::new(&python)
        .args(["-c", "import onnx"])
        .stderr(Stdio::null())
        .status();
    if !has.is_ok_and(|status| status.success()) {
        println!("[skipped] {NAME}: `{python}` has no package onnx; HOLDFAST_PYTHON can name another");
        return;
    }
    let mut python = Command::new(python)
        .arg(&script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let count = std::env::var("HOLDFAST_READER_CASES")
        .ok()
        .and_then(|count| count.parse().ok());
    let seeds = seeds();
    let words: &[&[u8]] = &[
        b"\x08",
        b"\x01",
        b"\x0a\x01a",
        b"\x10\x01",
        b"\x22\x04Relu",
        b"\x22\x04Rely",
        b"\x3a\x00",
        b"\x42\x01w",
        b"\x4a\x00",
        b"\x7a\x00",
    ];
    let cases: Vec<Vec<u8>> = seeds
        .iter()
        .cloned()
        .chain((0..count.unwrap_or(CASES)).map(|seed| mutate(&seeds, words, &mut Random::new(seed))))
        .collect();
    let mut input = python.stdin.take().unwrap();
    let lines: String = cases.iter().map(|bytes| hex(bytes) + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len());
    let (mut admitted, mut read) = (0, 0);
    for (bytes, answer) in cases.iter().zip(answers.lines()) {
        let mut inspector = FileInspector::new("model.onnx");
        inspector.feed(bytes);
        let outcome = inspector.finish();
        read += u32::from(answer != "-");
        if outcome.format != Format::Onnx || outcome.findings.refuse() {
            continue;
        }
        admitted += 1;
        let facts = outcome.facts.unwrap();
        let mut answer = answer.split(' ');
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        assert_eq!(number(answer.next()), Some(facts.tensors), "{bytes:x?}");
        assert_eq!(number(answer.next()), Some(facts.parameters), "{bytes:x?}");
        assert_eq!(number(answer.next()), Some(0), "{bytes:x?}");
    }
    println!(
        "{} models, {read} read by the package, {admitted} admitted",
        cases.len()
    );
    assert!(admitted > 200, "{admitted} admitted");
}
