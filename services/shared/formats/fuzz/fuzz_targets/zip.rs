//! Zip archives: what is found does not depend on the cut, nor on whether the directory was read first.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats::bytes::in_memory;
use holdfast_formats_fuzz::{cuts, memory, mutators, run};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// One inspector per level of nesting, and the file itself where its directory was not read first.
const BOUND: usize = 24 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    let ahead = || {
        FileInspector::new("x").looking_ahead(bytes.len() as u64, &mut in_memory(bytes))
    };
    memory::confined(4 * BOUND, || {
        let whole = memory::bounded(BOUND, || run(FileInspector::new("x"), &[bytes]));
        let ahead_whole = memory::bounded(BOUND, || run(ahead(), &[bytes]));
        assert_eq!(ahead_whole, whole);
        if bytes.starts_with(b"PK\x03\x04") {
            // The first bytes are not collected here, so that short archives come in pieces, too.
            cuts(bytes, |pieces| run(ahead().probing(4), pieces));
        }
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::zip)
});
