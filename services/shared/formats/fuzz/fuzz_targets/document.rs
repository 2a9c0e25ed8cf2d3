//! Documents under names of each kind: what is found does not depend on how the bytes were cut.

#![no_main]

use holdfast_formats::FileInspector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (name, cut, bytes) = input;
    let names = [
        "config.json",
        "README.md",
        "chat_template.jinja",
        "a.yaml",
        "tokenizer.json",
        "model_index.json",
        "requirements.txt",
        "vocab.txt",
    ];
    let name = names[usize::from(name) % names.len()];
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut inspector = FileInspector::new(name);
        for piece in pieces {
            inspector.feed(piece);
        }
        let outcome = inspector.finish();
        (outcome.format, outcome.findings.into_parts())
    };
    assert_eq!(run(&[bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
