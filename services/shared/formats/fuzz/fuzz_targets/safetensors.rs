//! The safetensors inspector alone.

#![no_main]

use holdfast_formats::safetensors::Safetensors;
use holdfast_formats_fuzz::{inspect, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    // The densest type has 4 bits per weight.
    inspect(bytes, 4 << 20, 2, Safetensors::default);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::safetensors)
});
