//! The reader of a description for Keras alone, over bytes cut in two places.

#![no_main]

use holdfast_formats::keras::Description;
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// The names of layers and of what they refer to.
const BOUND: usize = 16 << 20;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut description = Description::default();
        for piece in pieces {
            description.feed(piece);
        }
        let (findings, name) = description.conclude();
        (findings.into_parts(), name)
    };
    let whole = memory::bounded(BOUND, || run(&[bytes]));
    assert_eq!(whole, run(&[&bytes[..cut], &bytes[cut..]]));
});
