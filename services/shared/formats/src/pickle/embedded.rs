//! Whether a text or byte string is itself a pickle, as it is or in base64 or hexadecimal.

use super::lexer::{Lexer, Payload, Step};
use super::opcodes as op;

/// How many opcodes in a row are no accident.
const ENOUGH: usize = 8;
/// Bytes before the content of the first frame.
const HEADER_BYTES: u64 = 11;

/// Whether it is one.
pub fn is_pickle(payload: &Payload) -> bool {
    match payload.kept.as_slice() {
        [0x80, 2..=5, ..] => begins_pickle(&payload.kept, payload.length),
        // The first bytes of protocols 2 to 5 in base64 and hexadecimal.
        [b'g', b'A', b'I'..=b'X', ..] => {
            let padding = payload
                .kept
                .iter()
                .rev()
                .take_while(|byte| **byte == b'=')
                .count() as u64;
            base64(&payload.kept)
                .is_some_and(|bytes| begins_pickle(&bytes, (payload.length / 4 * 3).saturating_sub(padding)))
        }
        [b'8', b'0', b'0', b'2'..=b'5', ..] => {
            hexadecimal(&payload.kept).is_some_and(|bytes| begins_pickle(&bytes, payload.length / 2))
        }
        _ => false,
    }
}

/// Whether `length` bytes that begin like this are a pickle: a frame that fills them, or opcodes to their end.
fn begins_pickle(bytes: &[u8], length: u64) -> bool {
    if let [0x80, 4..=5, op::FRAME, rest @ ..] = bytes
        && let Some(frame) = rest.first_chunk().copied().map(u64::from_le_bytes)
    {
        return frame == length.saturating_sub(HEADER_BYTES);
    }
    let mut lexer = Lexer::new(0);
    let mut rest = bytes;
    for count in 0..=ENOUGH {
        let (taken, step) = lexer.feed(rest);
        rest = rest.get(taken..).unwrap_or_default();
        match step {
            Step::Ready if lexer.token().code == op::STOP => return count > 1 && lexer.at() == length,
            Step::Ready => {}
            _ => return false,
        }
    }
    true
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap_or(0));
        }
    }
    Some(out)
}

fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    text.chunks_exact(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &[u8]) -> bool {
        is_pickle(&Payload {
            kept: text.to_vec(),
            length: text.len() as u64,
            chars: 0,
        })
    }

    #[test]
    fn recognises_pickles_in_their_usual_disguises() {
        let framed = b"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x01.";
        assert!(is(framed));
        assert!(is(b"gASVAwAAAAAAAABLAS4="));
        assert!(is(b"80049503000000000000004b012e"));
        assert!(is(b"\x80\x02}q\x00."));
    }

    #[test]
    fn bytes_that_begin_alike_are_none() {
        assert!(!is(b"\x80\x04\x95\x04\0\0\0\0\0\0\0K\x01."));
        assert!(!is(b"\x80\x02\xff\xff\xff\xff"));
        assert!(!is(b"gAme over"));
        assert!(!is(b"8004 Main Street"));
        assert!(!is(b"\x80\x03"));
    }
}
