//! Compressed files, gzip or zlib, and what is in them.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats_fuzz::{cuts, memory, mutators, run};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// One inspector per level of nesting, and the file itself where its directory was not read first.
const BOUND: usize = 24 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    memory::confined(4 * BOUND, || {
        memory::bounded(BOUND, || run(FileInspector::new("x"), &[bytes]));
        // The first bytes are not collected here, so that short files come in pieces, too.
        cuts(bytes, |pieces| run(FileInspector::new("x").probing(4), pieces));
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::gzip)
});
