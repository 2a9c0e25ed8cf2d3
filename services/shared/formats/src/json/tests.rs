//! Tests of the JSON reader.

use std::fmt::Write as _;

use super::*;
use crate::text::Fingerprint;

/// Reads `bytes` cut into pieces of `size` and writes the events as a line.
fn read(bytes: &[u8], size: usize) -> Result<String, (u64, JsonError)> {
    let mut json = Json::default();
    let mut out = String::new();
    let mut taken = 0;
    for piece in bytes.chunks(size) {
        let progress = json.feed(piece, |_, event| {
            match event {
                Event::Key(text) => write!(out, "{}=", text.whole().unwrap_or("…")).unwrap(),
                Event::String(text) => write!(out, "'{}' ", text.whole().unwrap_or("…")).unwrap(),
                Event::Number(number) => write!(out, "{number} ").unwrap(),
                Event::Bool(value) => write!(out, "{value} ").unwrap(),
                Event::Null => out.push_str("null "),
                Event::BeginObject => out.push_str("{ "),
                Event::EndObject => out.push_str("} "),
                Event::BeginArray => out.push_str("[ "),
                Event::EndArray => out.push_str("] "),
            }
            ControlFlow::Continue(())
        });
        match progress {
            Progress::More => taken += piece.len(),
            Progress::Done(n) => return Ok(format!("{out}@{}", taken + n)),
            Progress::Wrong(at, error) => return Err((at, error)),
            Progress::Stopped => unreachable!(),
        }
    }
    Ok(format!("{out}@more"))
}

fn same_for_all_cuts(bytes: &[u8]) -> Result<String, (u64, JsonError)> {
    let whole = read(bytes, bytes.len().max(1));
    for size in 1..bytes.len() {
        assert_eq!(read(bytes, size), whole, "cut into {size}");
    }
    whole
}

#[test]
fn reads_every_kind_of_value() {
    let text = r#" {"a": [1, -0.5e+3, true, false, null, {}, []], "b\u00e4\ud83e\udd99\n": "ü"}  x"#;
    assert_eq!(
        same_for_all_cuts(text.as_bytes()).unwrap(),
        format!(
            "{{ a=[ 1 -0.5e+3 true false null {{ }} [ ] ] bä🦙\n='ü' }} @{}",
            text.len() - 3
        )
    );
}

#[test]
fn refuses_what_lenient_readers_accept() {
    use JsonError::*;
    for (bytes, error) in [
        (&b"{\"a\":1,}"[..], Unexpected),
        (b"[1,]", Unexpected),
        (b"{a:1}", Unexpected),
        (b"{'a':1}", Unexpected),
        (b"[1 2]", Unexpected),
        (b"[01]", Number),
        (b"[+1]", Unexpected),
        (b"[1.]", Number),
        (b"[.5]", Unexpected),
        (b"[1e]", Number),
        (b"[--1]", Number),
        (b"[NaN]", Unexpected),
        (b"[Infinity]", Unexpected),
        (b"[\"a\nb\"]", Control),
        (b"[\"\\x\"]", Escape),
        (b"[\"\\ud800\"]", Escape),
        (b"[\"\\ud800\\u0041\"]", Escape),
        (b"[\"\\udc00\"]", Escape),
        (b"[\"\xff\"]", Utf8),
        (b"[\"\xe2\x82\"]", Utf8),
        (b"[\"\xe2\\n\x82\xac\"]", Utf8),
        (b"[tru]", Unexpected),
        (b"/* */ {}", Unexpected),
        (b"\xef\xbb\xbf{}", Unexpected),
        (b"{\"a\" 1}", Unexpected),
        (b"}", Unexpected),
    ] {
        let result = same_for_all_cuts(bytes);
        assert_eq!(result.unwrap_err().1, error, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn nesting_and_numbers_are_bounded() {
    let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
    assert!(read(&deep(MAX_DEPTH), 7).is_ok());
    assert_eq!(
        read(&deep(MAX_DEPTH + 1), 7),
        Err((MAX_DEPTH as u64, JsonError::Depth))
    );
    let number = |n: usize| format!("[{}]", "1".repeat(n));
    assert!(read(number(MAX_NUMBER_BYTES).as_bytes(), 7).is_ok());
    assert_eq!(
        read(number(MAX_NUMBER_BYTES + 1).as_bytes(), 7).unwrap_err().1,
        JsonError::Number
    );
}

#[test]
fn long_texts_are_cut_but_fingerprinted_whole() {
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let mut json = Json::default();
    let mut seen = None;
    json.feed(format!("[\"{long}\"]").as_bytes(), |_, event| {
        if let Event::String(text) = event {
            seen = Some((text.kept().len(), text.whole().is_none(), text.fingerprint()));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(
        seen,
        Some((MAX_TEXT_BYTES, true, Fingerprint::of(long.as_bytes())))
    );
}

#[test]
fn numbers_that_only_python_writes_are_taken_where_asked() {
    for (text, taken) in [
        ("[NaN,Infinity,-Infinity,-1]", true),
        ("[-NaN]", false),
        ("[-Inf]", false),
        ("[Infinite]", false),
        ("[nan]", false),
    ] {
        let done = |json: Json| {
            let mut json = json;
            text.bytes()
                .map(|byte| json.feed(&[byte], |_, _| ControlFlow::Continue(())))
                .all(|progress| !matches!(progress, Progress::Wrong(..)))
        };
        assert_eq!(done(Json::default().of_python()), taken, "{text}");
        assert!(!done(Json::default()), "{text}");
    }
}
