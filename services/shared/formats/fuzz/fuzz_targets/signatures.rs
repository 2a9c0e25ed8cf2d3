//! The search over all bytes: what is found does not depend on the cut, and nothing found lies outside of the file.

#![no_main]

use holdfast_formats::scan::{Own, Scan};
use holdfast_formats::{Format, Scanner};
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// What is held around a place that may be the begin of something, and the findings.
const BOUND: usize = 1 << 20;

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (first, second, bytes) = input;
    // Long enough for windows that do not reach both ends.
    let bytes = [&[0x55; 5000][..], bytes, &[0xaa; 9000]].concat();
    let first = usize::from(first).min(bytes.len());
    let second = (first + usize::from(second)).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut scan = Scan::new(&Scanner::plain());
        for piece in pieces {
            scan.feed(piece);
        }
        scan.finish(Format::Gguf, &Own::Nothing).into_parts()
    };
    let whole = memory::bounded(BOUND, || run(&[&bytes]));
    assert_eq!(
        whole,
        run(&[&bytes[..first], &bytes[first..second], &bytes[second..]])
    );
    for finding in whole.0 {
        assert!(finding.offset.is_some_and(|at| at < bytes.len() as u64));
    }
});
