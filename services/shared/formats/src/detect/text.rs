//! Text and the kinds of it.

use std::ops::ControlFlow;

use crate::format::Format;
use crate::json::{Json, Progress};

/// The kind of text that `head` begins, if it is text.
pub fn kind(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return is_utf16(head).then_some(Format::Text);
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut off in the middle of a character by the end of the probe.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).unwrap_or_default()
        }
        Err(_) => return None,
    };
    // Those of ASCII only. Words and JSON hold the others as they are (`ensure_ascii=False`), and which text may is the inspectors' to say.
    let control = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}');
    if text.is_empty() || text.contains(control) {
        return None;
    }
    let text = text.trim_start();
    let start: String = text.chars().take(4096).collect::<String>().to_ascii_lowercase();
    Some(match start.chars().next() {
        Some('<') if start.starts_with("<!doctype html") || start.contains("<html") => Format::Html,
        Some('<') if start.contains("<pmml") => Format::Pmml,
        Some('<')
            if start.starts_with("<?xml") || start.starts_with("<svg") || start.starts_with("<!doctype") =>
        {
            Format::Xml
        }
        Some('{' | '[') if is_json(text) => Format::Json,
        _ => Format::Text,
    })
}

fn is_json(text: &str) -> bool {
    let progress = Json::default()
        .of_python()
        .feed(text.as_bytes(), |_, _| ControlFlow::Continue(()));
    matches!(progress, Progress::More | Progress::Done(_))
}

fn is_utf16(head: &[u8]) -> bool {
    let big = head.starts_with(b"\xfe\xff");
    let units = head.chunks_exact(2).skip(1).map(|pair| {
        let pair = pair.first_chunk().copied().unwrap_or_default();
        if big {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        }
    });
    let mut characters = char::decode_utf16(units).take(256).peekable();
    characters.peek().is_some()
        && characters.all(|c| c.is_ok_and(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_of_text_apart() {
        for (bytes, format) in [
            (&b"<!DOCTYPE html><html>"[..], Some(Format::Html)),
            (b"\xef\xbb\xbf\n<HTML lang=en>", Some(Format::Html)),
            (b"<?xml version='1.0'?><a/>", Some(Format::Xml)),
            (b"<?xml version='1.0'?><PMML version='4.4'>", Some(Format::Pmml)),
            (b"{\"a\": 1}", Some(Format::Json)),
            (b"{\"a\": [0.0, Infinity, -Infinity, NaN]}", Some(Format::Json)),
            (b"{\"a\": [1, 2, {\"cut", Some(Format::Json)),
            (b"{% for message in messages %}", Some(Format::Text)),
            (b"# Readme\n", Some(Format::Text)),
            ("Grüße".as_bytes(), Some(Format::Text)),
            (b"\xff\xfeh\0i\0", Some(Format::Text)),
            ("{\"\u{7f}\u{80}\u{9f}\": 1}".as_bytes(), Some(Format::Json)),
            ("\u{7f} 1\n\u{9b} 2\n".as_bytes(), Some(Format::Text)),
            (b"{\"\x01\": 1}", None),
            (b"a\x08b", None),
            (b"\xff\xfe\x00\x00", None),
            (b"a\0b", None),
            (b"caf\xe9 au lait", None),
        ] {
            assert_eq!(kind(bytes), format, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
