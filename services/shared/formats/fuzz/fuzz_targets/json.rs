//! The JSON reader alone: no cut changes what it reads.

#![no_main]

use std::ops::ControlFlow;

use holdfast_formats::json::{Json, Progress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let run = |pieces: &[&[u8]]| {
        let mut json = Json::default();
        let mut events = Vec::new();
        let mut taken = 0;
        for piece in pieces {
            let progress = json.feed(piece, |at, event| {
                events.push((at, format!("{event:?}")));
                ControlFlow::Continue(())
            });
            match progress {
                Progress::More => taken += piece.len(),
                Progress::Done(more) => return (events, Progress::Done(taken + more)),
                end => return (events, end),
            }
        }
        (events, Progress::More)
    };
    assert_eq!(run(&[bytes]), run(&[&bytes[..cut], &bytes[cut..]]));
});
