//! The source of TorchScript programs: what is found does not depend on how it was cut.

#![no_main]

use holdfast_formats::torchscript::{Code, Source};
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// The names of a program's own methods, and the words of one statement.
const BOUND: usize = 16 << 20;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut code = Code::default();
        let mut source = Source::new("code/x.py");
        for piece in pieces {
            source.feed(piece, &mut code);
        }
        source.finish(&mut code);
        code.conclude().into_parts()
    };
    let whole = memory::bounded(BOUND, || run(&[bytes]));
    assert_eq!(whole, run(&[&bytes[..cut], &bytes[cut..]]));
});
