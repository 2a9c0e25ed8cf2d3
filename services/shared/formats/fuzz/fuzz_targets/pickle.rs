//! The pickle inspector alone, in each of its contexts, over bytes cut in two places.

#![no_main]

use holdfast_formats::Inspector;
use holdfast_formats::pickle::{Context, Pickle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (context, cut, bytes) = input;
    let context = match context % 8 {
        0 => Context::File,
        1 => Context::Member,
        2 => Context::Array,
        3 => Context::Script,
        4 => Context::Bytecode,
        5 => Context::TarObject,
        6 => Context::TarStorages,
        _ => Context::TarTensors,
    };
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut pickle = Pickle::new(context);
        let mut at = 0;
        for piece in pieces {
            pickle.feed(at, piece);
            at += piece.len() as u64;
        }
        let (findings, summary) = pickle.conclude(at);
        (findings.into_parts(), summary)
    };
    assert_eq!(run(&[bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
