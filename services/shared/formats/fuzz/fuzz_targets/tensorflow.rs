//! The TensorFlow inspector alone, over bytes cut in two places.

#![no_main]

use holdfast_formats::Inspector;
use holdfast_formats::tensorflow::Tensorflow;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (saved, cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut inspector = Box::new(if saved {
            Tensorflow::saved_model()
        } else {
            Tensorflow::graph()
        });
        let mut at = 0;
        for piece in pieces {
            inspector.feed(at, piece);
            at += piece.len() as u64;
        }
        let found = inspector.finish(at);
        (found.findings.into_parts(), found.facts)
    };
    assert_eq!(run(&[bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
