//! Zip archives: what is found does not depend on the cut, nor on whether the directory was read first.

#![no_main]

use holdfast_formats_fuzz::{archive, memory, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// One inspector per level of nesting, and the file itself where its directory was not read first.
const BOUND: usize = 24 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    archive(bytes, BOUND, b"PK\x03\x04");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::zip)
});
