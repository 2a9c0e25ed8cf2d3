//! Whatever Python's own readers would import from a pickle, sensible or broken, the inspector sees.

use std::path::Path;

use holdfast_formats::Inspector;
use holdfast_formats::pickle::{Context, Pickle};
use holdfast_formats::testing::{Assembler, Random, ask, hex, mutate, reader_cases};
use holdfast_formats::text;

/// How many changed pickles are tried, unless `HOLDFAST_READER_CASES` says otherwise.
const CASES: u64 = 3000;

#[rustfmt::skip]
const WORDS: &[&[u8]] = &[
    b"cos\nsystem\n", b"(", b")R", b"t", b"o", b"b", b"0", b"1", b"2", b"\x94", b"h\0", b"h\x01", b"q\0", b"q\x05", b"\x93", b"\x81",
    b"\x92", b"\x80\x04", b"\x8c\x02os", b"\x8c\x06system", b"}", b"]", b"u", b"s", b"e", b"a", b"Q", b".", b"K\x01", b"N", b"\x85",
    b"\x86", b"S'o\\x73'\n", b"V\\u006fs\n", b"U\x02nt", b"p+1\n", b"g1\n", b"(imymod\nThing\n", b"\x95\x06\0\0\0\0\0\0\0", b"I01\n",
    b"\x8f", b"\x90", b"\x91", b"l", b"d", b"Px\n", b"\x8a\x01\x05", b"C\x02ab", b"T\x02\0\0\0os",
];

fn seeds() -> Vec<Vec<u8>> {
    let call = |assembler: Assembler| assembler.text("id").raw(b"\x85R").stop();
    vec![
        Assembler::protocol(2).state_dict(&[("w", &[2, 3])]).stop(),
        call(Assembler::new().global("os", "system")),
        call(Assembler::protocol(4).stack_global("os", "system")),
        Assembler::protocol(4)
            .text("os")
            .raw(b"\x940")
            .text("system")
            .raw(b"\x940h\0h\x01\x93)R.")
            .cut(),
        b"(S'id'\nios\nsystem\n0(cnt\nsystem\nS'id'\no.".to_vec(),
        Assembler::protocol(2).raw(b"K\x01.").global("a.b", "c").stop(),
        Assembler::protocol(4)
            .raw(b"](K\x01K\x02e\x94}(")
            .text("k")
            .raw(b"h\0u\x86")
            .stop(),
        b"(lp0\nI1\naL2L\naF1.5\na(dp1\nVkey\nS'value'\nsa.".to_vec(),
    ]
}

/// How many pickles ended and what was imported.
fn inspected(bytes: &[u8]) -> (u64, Vec<String>, Vec<String>) {
    let mut pickle = Pickle::new(Context::File);
    pickle.feed(0, bytes);
    let (findings, summary) = pickle.conclude(bytes.len() as u64);
    let ids = findings
        .into_parts()
        .0
        .into_iter()
        .map(|finding| finding.id)
        .collect();
    (summary.pickles, summary.globals, ids)
}

/// Module and name as the inspector shows them.
fn shown(name: &str) -> String {
    let (module, name) = name.split_once('.').unwrap_or((name, ""));
    format!("{}.{}", unhex(module), unhex(name))
}

fn unhex(text: &str) -> String {
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    text::shown_bytes(&bytes)
}

#[test]
fn every_import_of_a_real_reader_is_seen() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers.py");
    let seeds = seeds();
    let cases: Vec<Vec<u8>> = seeds
        .iter()
        .cloned()
        .chain((0..reader_cases(CASES)).map(|seed| mutate(&seeds, WORDS, &mut Random::new(seed))))
        .filter(|bytes| !bytes.is_empty())
        .collect();
    let Ok((answers, _)) = ask("python3", &script, &[], cases.iter().map(|bytes| hex(bytes))) else {
        println!("[skipped] every_import_of_a_real_reader_is_seen: there is no python3");
        return;
    };
    assert_eq!(answers.len(), cases.len());
    let mut imports = 0;
    for (bytes, answer) in cases.iter().zip(&answers) {
        let mut answer = answer.split(' ');
        let ended: u64 = answer.next().unwrap().parse().unwrap();
        let (pickles, globals, ids) = inspected(bytes);
        // Where an opcode reaches beyond its frame the C reader drops what is left of the frame and goes on after it. Such
        // files are refused without following each reader.
        if ids.iter().any(|id| id == "HF-PKL-011") {
            continue;
        }
        // A module without a name cannot be imported.
        for name in answer.map(shown).filter(|name| !name.starts_with('.')) {
            imports += 1;
            assert!(
                globals.contains(&name),
                "{name} is not in {globals:?}: {ids:?} {bytes:x?}"
            );
        }
        assert!(
            pickles >= ended,
            "{pickles} of {ended} pickles: {ids:?} {bytes:x?}"
        );
    }
    println!("{} pickles, {imports} imports", cases.len());
    assert!(imports > 1000, "{imports} imports");
}
