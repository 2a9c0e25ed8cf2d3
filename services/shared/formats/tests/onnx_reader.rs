//! What is admitted as ONNX is read by the `onnx` package too, with the same tensors and without an operator that was not judged.

use std::path::Path;

use holdfast_formats::testing::{Proto, Random, ask, hex, mutate, onnx, python_with, reader_cases};
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

#[test]
fn what_is_admitted_is_read_alike() {
    const NAME: &str = "what_is_admitted_is_read_alike";
    let Some(python) = python_with("onnx", NAME) else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_reader.py");
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
        .chain((0..reader_cases(CASES)).map(|seed| mutate(&seeds, words, &mut Random::new(seed))))
        .collect();
    let (answers, _) = ask(&python, &script, &[], cases.iter().map(|bytes| hex(bytes))).unwrap();
    assert_eq!(answers.len(), cases.len());
    let (mut admitted, mut read) = (0, 0);
    for (bytes, answer) in cases.iter().zip(&answers) {
        let mut inspector = FileInspector::new("model.onnx");
        inspector.feed(bytes);
        let outcome = inspector.finish();
        read += u32::from(answer.as_str() != "-");
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
