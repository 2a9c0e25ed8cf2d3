//! The GGUF inspector alone, over bytes cut in two places.

#![no_main]

use holdfast_formats::Inspector;
use holdfast_formats::gguf::Gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, body) = input;
    let bytes = [b"GGUF", body].concat();
    let cut = usize::from(cut) % bytes.len();
    let run = |pieces: &[&[u8]]| {
        let mut gguf = Box::new(Gguf::default());
        let mut at = 0;
        for piece in pieces {
            gguf.feed(at, piece);
            at += piece.len() as u64;
        }
        let found = gguf.finish(at);
        (found.findings.into_parts(), found.facts)
    };
    assert_eq!(run(&[&bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
