//! The JSON reader alone: no cut changes what it reads, and what it takes for complete is JSON.

#![no_main]

use std::ops::ControlFlow;

use holdfast_formats::json::{Json, Progress};
use holdfast_formats_fuzz::{cuts, memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    cuts(bytes, |pieces| {
        let mut events = Vec::new();
        let mut taken = 0;
        let mut json = Json::default();
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
    });
    memory::bounded(64 << 10, || {
        let mut json = Json::default();
        json.feed(bytes, |_, _| ControlFlow::Continue(()));
    });
});
