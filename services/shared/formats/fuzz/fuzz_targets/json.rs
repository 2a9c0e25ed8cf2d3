//! The JSON reader alone: no cut changes what it reads.

#![no_main]

use std::ops::ControlFlow;

use holdfast_formats::json::{Event, Json, Progress};
use holdfast_formats_fuzz::{cuts, memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    cuts(bytes, |pieces| {
        let mut events = Vec::new();
        let mut taken = 0;
        let mut json = Json::default();
        for piece in pieces {
            let progress = json.feed(piece, |at, event| {
                events.push((
                    at,
                    match event {
                        Event::Key(text) => format!(
                            "key {:?} {:?} {:?}",
                            text.kept(),
                            text.whole(),
                            text.fingerprint()
                        ),
                        Event::String(text) => format!(
                            "text {:?} {:?} {:?}",
                            text.kept(),
                            text.whole(),
                            text.fingerprint()
                        ),
                        other => format!("{other:?}"),
                    },
                ));
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
