//! Compressed files, one format chosen by the first byte: what is found does not depend on how the bytes were cut.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// What files begin with: bzip2, xz, Zstandard, LZ4, gzip, zlib, and LZMA with its whole header.
const STARTS: [&[u8]; 7] = [
    b"BZh91AY&SY",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"\x1f\x8b\x08",
    b"\x78\x9c",
    b"\x5d\0\0\x01\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
];

/// The windows of decompressors have 36 MiB together; the rest is for what inspects what comes out.
const BOUND: usize = 56 << 20;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (kind, cut, bytes) = input;
    // Beyond the last, the bytes are taken as they are.
    let start = STARTS.get(usize::from(kind % 8)).copied().unwrap_or_default();
    let file = [start, bytes].concat();
    let cut = usize::from(cut).min(file.len());
    let run = |pieces: &[&[u8]]| {
        let mut inspector = FileInspector::new("x");
        for piece in pieces {
            inspector.feed(piece);
        }
        let outcome = inspector.finish();
        (outcome.format, outcome.findings.into_parts())
    };
    let whole = memory::bounded(BOUND, || run(&[&file]));
    assert_eq!(whole, run(&[&file[..cut], &file[cut..]]));
});
