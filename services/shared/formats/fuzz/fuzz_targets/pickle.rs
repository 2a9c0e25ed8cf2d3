//! The pickle inspector alone, in each of its contexts: the first byte of the input says which.

#![no_main]

use holdfast_formats::pickle::{Context, Pickle};
use holdfast_formats_fuzz::{cuts, feed, memory, report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((context, bytes)) = input.split_first() else {
        return;
    };
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
    cuts(bytes, |pieces| {
        memory::bounded(16 << 20, || {
            let mut pickle = Pickle::new(context);
            let size = feed(&mut pickle, pieces);
            let (findings, summary) = pickle.conclude(size);
            (report(findings, size), summary)
        })
    });
});
