//! The NumPy inspector alone, over bytes cut in two places.

#![no_main]

use holdfast_formats::Inspector;
use holdfast_formats::npy::Npy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, body) = input;
    let bytes = [b"\x93NUMPY", body].concat();
    let cut = usize::from(cut) % bytes.len();
    let run = |pieces: &[&[u8]]| {
        let mut npy = Box::new(Npy::default());
        let mut at = 0;
        for piece in pieces {
            npy.feed(at, piece);
            at += piece.len() as u64;
        }
        let found = npy.finish(at);
        (found.findings.into_parts(), found.facts)
    };
    assert_eq!(run(&[&bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
