//! 7z archives: what is found does not depend on the cut, nor on whether the header was read first.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats::bytes::in_memory;
use holdfast_formats_fuzz::{cuts, memory, mutators, run};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// The windows of decompressors have 36 MiB together, and a header may have 8 MiB; the rest is for what inspects what comes out.
const BOUND: usize = 60 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    let ahead = || {
        FileInspector::new("x").looking_ahead(bytes.len() as u64, &mut in_memory(bytes))
    };
    memory::confined(4 * BOUND, || {
        let whole = memory::bounded(BOUND, || run(FileInspector::new("x"), &[bytes]));
        let ahead_whole = memory::bounded(BOUND, || run(ahead(), &[bytes]));
        assert_eq!(ahead_whole, whole);
        if bytes.starts_with(b"7z\xbc\xaf\x27\x1c") {
            // The first bytes are not collected here, so that short archives come in pieces, too.
            cuts(bytes, |pieces| run(ahead().probing(8), pieces));
        }
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_seven_zip(data, size, max_size, seed)
});
