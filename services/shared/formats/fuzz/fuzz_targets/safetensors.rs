//! The safetensors inspector alone: the input is a header and data, the length before them is right or given by the input.

#![no_main]

use holdfast_formats::Inspector;
use holdfast_formats::safetensors::Safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Option<u64>, u16, u16, &[u8])| {
    let (length, header, cut, body) = input;
    let length = length.unwrap_or_else(|| u64::from(header).min(body.len() as u64));
    let bytes = [&length.to_le_bytes(), body].concat();
    let cut = usize::from(cut) % bytes.len();
    let run = |pieces: &[&[u8]]| {
        let mut safetensors = Box::new(Safetensors::default());
        let mut at = 0;
        for piece in pieces {
            safetensors.feed(at, piece);
            at += piece.len() as u64;
        }
        let found = safetensors.finish(at);
        (found.findings.into_parts(), found.facts)
    };
    assert_eq!(run(&[&bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
