//! Documents under names of each kind: the first byte of the input says which.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats::document::{Configuration, Prose, Secrets};
use holdfast_formats::testing::DOCUMENT_NAMES;
use holdfast_formats_fuzz::{cuts, inspect, memory, run};
use libfuzzer_sys::fuzz_target;

/// A document that is read whole is held once, and a chat template in it may have a tree and its renderings, which are bounded apart.
const BOUND: usize = 64 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let name = DOCUMENT_NAMES[usize::from(*kind) % DOCUMENT_NAMES.len()];
    memory::confined(BOUND, || {
        cuts(bytes, |pieces| run(FileInspector::new(name), pieces));
        // The first bytes are not collected here, so that short documents come in pieces, too.
        cuts(bytes, |pieces| run(FileInspector::new(name).probing(16), pieces));
        inspect(bytes, BOUND, 0, || Configuration::new(name));
        inspect(bytes, BOUND, 0, || Prose::new(name));
        inspect(bytes, 1 << 20, 0, Secrets::default);
    });
});
