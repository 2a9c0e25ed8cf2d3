//! The NumPy inspector alone, with the pickle in arrays of objects.

#![no_main]

use holdfast_formats::npy::Npy;
use holdfast_formats_fuzz::{inspect, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some(magic) = bytes.get_mut(..6) {
        magic.copy_from_slice(b"\x93NUMPY");
    }
    // A tensor of no elements has no bytes; an element has one at least.
    inspect(&bytes, 16 << 20, 1, Npy::default);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::npy)
});
