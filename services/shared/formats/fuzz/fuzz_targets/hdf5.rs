//! HDF5 files: what is found does not depend on how the bytes were cut, nor on whether the structure was read first.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats::bytes::in_memory;
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// What is read ahead of the bytes, what waits for its place, and the windows of decompressors.
const BOUND: usize = 40 << 20;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    // The first bytes are given, so that each input is of this kind.
    let bytes = [b"\x89HDF\r\n\x1a\n", bytes].concat();
    let cut = usize::from(cut).min(bytes.len());
    let run = |mut inspector: FileInspector, pieces: &[&[u8]]| {
        for piece in pieces {
            inspector.feed(piece);
        }
        let outcome = inspector.finish();
        (outcome.format, outcome.findings.into_parts(), outcome.facts)
    };
    let ahead = FileInspector::new("x").looking_ahead(bytes.len() as u64, &mut in_memory(&bytes));
    let whole = memory::bounded(BOUND, || run(FileInspector::new("x"), &[&bytes]));
    assert_eq!(
        whole,
        run(FileInspector::new("x"), &[&bytes[..cut], &bytes[cut..]])
    );
    assert_eq!(whole, memory::bounded(BOUND, || run(ahead, &[&bytes])));
});
