//! 7z archives: what is found does not depend on the cut, nor on whether the header was read first.

#![no_main]

use holdfast_formats_fuzz::{archive, memory, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// The windows of decompressors have 36 MiB together, and a header may have 8 MiB; the rest is for what inspects what comes out.
const BOUND: usize = 60 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    archive(bytes, BOUND, b"7z\xbc\xaf\x27\x1c");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_seven_zip(data, size, max_size, seed)
});
