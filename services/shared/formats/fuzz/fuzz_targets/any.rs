//! Everything together, as the pipeline runs it: detection, the inspector that follows from it, and the end of the file.

#![no_main]

use holdfast_formats::FileInspector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u16, &[u8])| {
    let (name, cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut inspector = FileInspector::new(name).tying();
        for piece in pieces {
            inspector.feed(piece);
        }
        let outcome = inspector.finish();
        assert!(outcome.ties.is_plausible());
        (outcome.format, outcome.findings.into_parts(), outcome.facts, outcome.ties)
    };
    assert_eq!(run(&[bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
