//! The GGUF inspector alone.

#![no_main]

use holdfast_formats::gguf::Gguf;
use holdfast_formats_fuzz::{inspect, memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some(magic) = bytes.get_mut(..4) {
        magic.copy_from_slice(b"GGUF");
    }
    // The densest type of ggml has 1.5625 bits per weight.
    inspect(&bytes, 8 << 20, 6, Gguf::default);
});
