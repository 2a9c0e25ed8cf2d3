//! The reader of protocol buffers alone, with a table of its own that has a field of every kind.

#![no_main]

use std::ops::ControlFlow;

use holdfast_formats::protobuf::{End, Event, Kind, MAX_DEPTH, Message, Reader, many, one};
use holdfast_formats_fuzz::{cuts, memory, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

static TABLE: Message<u8> = Message {
    part: 0,
    fields: &[
        one(1, Kind::Int),
        many(2, Kind::Int),
        one(3, Kind::Fixed32),
        many(4, Kind::Fixed32),
        one(5, Kind::Fixed64),
        many(6, Kind::Fixed64),
        one(7, Kind::Bytes),
        many(8, Kind::Bytes),
        one(9, Kind::Message(&TABLE)),
        many(10, Kind::Message(&OTHER)),
    ],
};
static OTHER: Message<u8> = Message {
    part: 1,
    fields: &[many(1, Kind::Message(&TABLE)), one(2, Kind::Bytes)],
};

/// What is read, without the cuts that the chunks make in byte strings.
fn read(pieces: &[&[u8]]) -> (Vec<String>, Result<End, String>) {
    let mut reader = Reader::new(&TABLE);
    let mut events = Vec::new();
    let mut string: Vec<u8> = Vec::new();
    let mut depth = 0_usize;
    let mut sink = |at, inside, event: Event<'_, u8>| {
        match event {
            Event::Bytes { field, chunk, left } => {
                string.extend_from_slice(chunk);
                if left == 0 {
                    events.push(format!("{at} {inside} {field} {:?}", std::mem::take(&mut string)));
                }
                return ControlFlow::Continue(());
            }
            Event::Enter(..) => depth += 1,
            // The outermost message ends, too, and did not begin.
            Event::Leave(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        assert!(depth <= MAX_DEPTH);
        events.push(format!("{at} {inside} {event:?}"));
        ControlFlow::Continue(())
    };
    for piece in pieces {
        if let Err((at, wrong)) = reader.feed(piece, |spot, event| sink(spot.at, spot.inside, event)) {
            let end = reader.finish(|_, _| ControlFlow::Continue(()));
            assert_eq!(end, End::Stopped);
            return (events, Err(format!("{at}: {wrong}")));
        }
    }
    let end = reader.finish(|spot, event| sink(spot.at, spot.inside, event));
    (events, Ok(end))
}

fuzz_target!(|bytes: &[u8]| {
    let _ = cuts(bytes, read);
    memory::bounded(32 << 10, || {
        let mut reader = Reader::new(&TABLE);
        let _ = reader.feed(bytes, |_, _| ControlFlow::Continue(()));
        reader.finish(|_, _| ControlFlow::Continue(()))
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_protobuf(data, size, max_size, seed)
});
