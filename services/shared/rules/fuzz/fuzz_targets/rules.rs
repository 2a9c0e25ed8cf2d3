//! The shipped rules on any bytes, whose cut must make no difference; and any text as rules, which must not panic.

#![no_main]

use std::sync::{Arc, LazyLock};

use holdfast_formats::scan::{Own, Scan};
use holdfast_formats::{Format, Scanner};
use holdfast_formats_fuzz::memory;
use holdfast_rules::{RuleSet, Source};
use libfuzzer_sys::fuzz_target;

static SHIPPED: LazyLock<Arc<Scanner>> = LazyLock::new(|| RuleSet::with_shipped(&[]).unwrap().scanner());

fn run(scanner: &Arc<Scanner>, pieces: &[&[u8]]) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut scan = Scan::new(scanner);
    for piece in pieces {
        scan.feed(piece);
    }
    scan.finish(Format::Gguf, &Own::Nothing).into_parts()
}

/// What is held around a place, the matches of each text, and the findings.
const BOUND: usize = 4 << 20;

fuzz_target!(|input: (bool, u16, &str, &[u8])| {
    let (site, cut, text, bytes) = input;
    let bytes = [b"GGUF", bytes, &[0x55; 9000]].concat();
    let (before, after) = bytes.split_at(usize::from(cut).min(bytes.len()));
    if site {
        let source = Source {
            name: "fuzz".to_owned(),
            text: text.to_owned(),
        };
        if let Ok(rules) = RuleSet::load(&[source]) {
            let scanner = rules.scanner();
            let whole = memory::bounded(BOUND, || run(&scanner, &[&bytes]));
            assert_eq!(whole, run(&scanner, &[before, after]));
        }
    } else {
        let whole = memory::bounded(BOUND, || run(&SHIPPED, &[&bytes]));
        assert_eq!(whole, run(&SHIPPED, &[before, after]));
    }
});
