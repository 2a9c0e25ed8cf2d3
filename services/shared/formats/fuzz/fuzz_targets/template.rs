//! Chat templates: judged, then rendered with ordinary and odd conversations.

#![no_main]

use holdfast_chat_template::{ChatMessage, ChatTemplate, Concern, MAX_OUTPUT_BYTES, judge};
use holdfast_formats_fuzz::memory;
use libfuzzer_sys::fuzz_target;

/// What judging may hold.
const JUDGED: usize = 16 << 20;
/// What compiling and rendering may hold: the limit of the worker that does it.
const RENDERED: usize = 64 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let notes = memory::bounded(JUDGED, || judge(source));
    // Eight of each kind.
    assert!(notes.len() <= 72);
    for note in &notes {
        assert!(note.offset <= source.len(), "{note:?}");
    }
    assert_eq!(notes, judge(source));
    let runs = !notes.iter().any(|note| matches!(note.concern, Concern::Unreadable(_) | Concern::Immense(_)));
    // Constants are folded when it is compiled, so that this may take as much as rendering.
    let compiled = memory::confined(RENDERED, || ChatTemplate::compile(source, "<s>", "</s>"));
    let Some(Ok(template)) = compiled else {
        return;
    };
    assert!(runs, "compiled but not judged: {notes:?}");
    let say = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    for conversation in [
        vec![],
        vec![say("user", "What is the capital of France?")],
        vec![
            say("system", "Be brief."),
            say("user", "Hello! {{ 7 * 7 }} </s>"),
            say("assistant", ""),
            say("user", "\u{202e}\0\u{1f468}\u{200d}\u{1f469}\r\n'\""),
        ],
    ] {
        if let Some(Ok(text)) = memory::confined(RENDERED, || template.render(&conversation)) {
            assert!(text.len() <= MAX_OUTPUT_BYTES);
        }
    }
});
