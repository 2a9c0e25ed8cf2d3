use super::super::schema::{many, one};
use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Outer,
    Inner,
}

static OUTER: Message<Part> = Message {
    part: Part::Outer,
    fields: &[
        one(1, Kind::Int),
        one(2, Kind::Bytes),
        many(3, Kind::Message(&INNER)),
        many(4, Kind::Int),
        many(5, Kind::Fixed32),
        one(6, Kind::Fixed64),
    ],
};
static INNER: Message<Part> = Message {
    part: Part::Inner,
    fields: &[many(1, Kind::Message(&INNER)), one(2, Kind::Int)],
};

/// What was read, one line each, and how it ended.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, String) {
    let mut reader = Reader::new(&OUTER);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    let mut sink = |spot: Spot<Part>, event: Event<'_, Part>| {
        if let Event::Bytes { field, chunk, left } = event {
            text.extend_from_slice(chunk);
            if left == 0 {
                lines.push(format!(
                    "{} Bytes({field}, {:?})",
                    spot.at,
                    std::mem::take(&mut text)
                ));
            }
        } else {
            lines.push(format!("{} {event:?}", spot.at));
        }
        ControlFlow::Continue(())
    };
    for chunk in bytes.chunks(piece) {
        if let Err((at, wrong)) = reader.feed(chunk, &mut sink) {
            let end = format!("{wrong:?} at {at}");
            return (lines, end);
        }
    }
    let end = format!("{:?}", reader.finish(&mut sink));
    (lines, end)
}

#[test]
fn reads_every_kind_of_field() {
    let bytes = b"\x08\x96\x01\x12\x02hi\x1a\x04\x10\x05\x0a\x00\x22\x03\x01\xac\x02\x20\x07\x2a\x04abcd\x2dabcd\x31abcdefgh\x7a\x01x";
    let (lines, end) = read(bytes, bytes.len());
    assert_eq!(
        lines,
        [
            "0 Number(1, 150)",
            "3 Bytes(2, [104, 105])",
            "7 Enter(3, Inner)",
            "9 Number(2, 5)",
            "11 Enter(1, Inner)",
            "13 Leave(Inner)",
            "13 Leave(Inner)",
            "13 Number(4, 1)",
            "13 Number(4, 300)",
            "18 Number(4, 7)",
            "20 Fixed(5, 4)",
            "26 Fixed(5, 4)",
            "31 Fixed(6, 8)",
            "40 Unknown(15, 1)",
            "43 Leave(Outer)",
        ]
    );
    assert_eq!(end, "Complete");
    for piece in 1..bytes.len() {
        assert_eq!(read(bytes, piece).0, lines, "in pieces of {piece}");
    }
}

#[test]
fn refuses_what_readers_could_take_differently() {
    let deep: Vec<u8> = (0..70).rev().fold(Vec::new(), |inner, level| {
        let tag = if level == 0 { 0x1a } else { 0x0a };
        let mut outer = vec![tag];
        let mut length = inner.len();
        while length > 127 {
            outer.push(u8::try_from(length & 127).unwrap() | 128);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend(inner);
        outer
    });
    for (bytes, end) in [
        (b"".as_slice(), "Complete"),
        (b"\x08\x80\x00", "Padded at 0"),
        (b"\x88\x00\x01", "Padded at 0"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "LongNumber at 0"),
        (
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "LongNumber at 0",
        ),
        (b"\x00\x01", "Number(0) at 0"),
        (b"\x80\x80\x80\x80\x80\x01\x01", "Number(4294967296) at 0"),
        (b"\x0b\x0c", "WireType(3) at 0"),
        (b"\x7f", "WireType(7) at 0"),
        (b"\x0a\x00", "Kind(1) at 0"),
        (b"\x10\x00", "Kind(2) at 0"),
        (b"\x1a\x02\x0a\x01", "Length(1) at 2"),
        (b"\x1a\x01\x10", "Length(2) at 2"),
        (b"\x1a\x01\x90\x01", "Tag at 2"),
        (
            b"\x1a\x02\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
            "Length(2) at 2",
        ),
        (b"\x1a\x03\x7d\x01\x02\x03\x04", "Length(15) at 2"),
        (b"\x22\x01\x80\x01", "Packed(4) at 0"),
        (
            b"\x22\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
            "Packed(4) at 0",
        ),
        (b"\x2a\x03abc", "Packed(5) at 0"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "Length(2) at 0"),
        (b"\x12\x05hi", "Cut"),
        (b"\x1a\x05\x10\x01", "Cut"),
        (b"\x08", "Cut"),
        (b"\x88", "Cut"),
        (&deep, "Depth at 132"),
    ] {
        let whole = read(bytes, bytes.len().max(1));
        assert_eq!(whole.1, end, "{bytes:x?}");
        for piece in 1..bytes.len() {
            assert_eq!(read(bytes, piece), whole, "{bytes:x?} in pieces of {piece}");
        }
    }
}

#[test]
fn tells_of_fields_that_come_again() {
    assert_eq!(read(b"\x08\x01\x08\x02\x20\x01\x20\x02", 3).0[1], "2 Again(1)");
    assert_eq!(read(b"\x08\x01\x08\x02\x20\x01\x20\x02", 3).0.len(), 6);
}
