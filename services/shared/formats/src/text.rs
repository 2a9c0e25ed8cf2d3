//! Text from untrusted files: made safe to show, checked as UTF-8 while it streams, and compared by fingerprint.

use std::fmt::Write as _;

/// The most bytes of a file's text that a finding or a fact repeats.
pub const MAX_SHOWN_BYTES: usize = 120;

/// Makes text from a file safe to show: control, invisible and direction-changing characters are dropped, white
/// space becomes single spaces, and what is beyond [`MAX_SHOWN_BYTES`] is cut off with an ellipsis.
pub fn shown(text: &str) -> String {
    bounded(text, MAX_SHOWN_BYTES)
}

/// [`shown`] for bytes that may not be UTF-8; each invalid sequence becomes U+FFFD.
pub fn shown_bytes(bytes: &[u8]) -> String {
    // Four times the limit is enough to fill it, whatever is dropped in between is hostile anyway.
    let head = bytes.get(..MAX_SHOWN_BYTES * 4).unwrap_or(bytes);
    shown(&String::from_utf8_lossy(head))
}

/// [`shown`] with a limit of its own, in bytes.
pub fn bounded(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if is_hidden(c) {
            continue;
        }
        if out.len() + c.len_utf8() + usize::from(space) > limit {
            out.push('…');
            break;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// Whether a character does not show, or changes how its neighbours show: controls, bidirectional overrides, zero-width
/// characters, tag characters, private use and non-characters.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0x00AD
                | 0x034F
                | 0x061C
                | 0x115F..=0x1160
                | 0x17B4..=0x17B5
                | 0x180B..=0x180F
                | 0x200B..=0x200F
                | 0x2028..=0x202E
                | 0x2060..=0x206F
                | 0x3164
                | 0xE000..=0xF8FF
                | 0xFE00..=0xFE0F
                | 0xFEFF
                | 0xFFA0
                | 0xFFF0..=0xFFFB
                | 0xFFFE..=0xFFFF
                | 0x1D173..=0x1D17A
                | 0xE0000..=0x0010_FFFF
        )
}

/// Writes bytes as they would appear in a hex dump, at most eight of them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).fold(String::new(), |mut out, byte| {
        if !out.is_empty() {
            out.push(' ');
        }
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Checks UTF-8 across chunk boundaries with three bytes of memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Utf8 {
    partial: [u8; 4],
    held: usize,
    invalid: bool,
}

impl Utf8 {
    /// Takes the next bytes. Returns false from the first invalid sequence on.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while self.held > 0 && !self.invalid {
            let Some((&next, rest)) = bytes.split_first() else {
                return true;
            };
            self.complete(next);
            bytes = rest;
        }
        if self.invalid {
            return false;
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => {
                self.invalid = true;
                false
            }
            Err(error) => {
                for &byte in bytes.iter().skip(error.valid_up_to()) {
                    self.hold(byte);
                }
                true
            }
        }
    }

    /// Whether everything fed was valid and no character is cut off at the end.
    pub fn is_complete(&self) -> bool {
        !self.invalid && self.held == 0
    }

    fn hold(&mut self, byte: u8) {
        if let Some(place) = self.partial.get_mut(self.held) {
            *place = byte;
            self.held += 1;
        } else {
            self.invalid = true;
        }
    }

    fn complete(&mut self, byte: u8) {
        self.hold(byte);
        match std::str::from_utf8(self.partial.get(..self.held).unwrap_or_default()) {
            Ok(_) => self.held = 0,
            Err(error) if error.error_len().is_some() => self.invalid = true,
            Err(_) => {}
        }
    }
}

/// 128-bit FNV-1a of a text, to find repeated names without keeping them. Equal texts always have equal fingerprints, so no
/// repetition is missed; a file made to collide is only refused more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u128);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }
}

impl Fingerprint {
    /// The fingerprint of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut fingerprint = Self::default();
        fingerprint.feed(bytes);
        fingerprint
    }

    /// Takes the next bytes of the text.
    pub fn feed(&mut self, bytes: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// 64 bits of it, where memory matters more than the one false alarm in 2³⁰ files.
    pub fn short(self) -> u64 {
        let bytes = self.0.to_le_bytes();
        let half = |half: Option<&[u8; 8]>| u64::from_le_bytes(half.copied().unwrap_or_default());
        half(bytes.first_chunk()) ^ half(bytes.last_chunk()).rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_would_deceive_a_reader_and_keeps_the_rest() {
        assert_eq!(shown("a\u{202e}b\u{0}c\u{200b}d\u{e0041}e\u{7f}"), "abcde");
        assert_eq!(shown("Größe 模型 naïve 🦙"), "Größe 模型 naïve 🦙");
        assert_eq!(shown("  two\r\n\tlines  "), "two lines");
    }

    #[test]
    fn cuts_long_text_at_a_character_boundary() {
        let long = "ä".repeat(200);
        let cut = shown(&long);
        assert!(cut.len() <= MAX_SHOWN_BYTES + '…'.len_utf8());
        assert!(cut.ends_with('…'));
        assert_eq!(shown(&"x".repeat(MAX_SHOWN_BYTES)).len(), MAX_SHOWN_BYTES);
    }

    #[test]
    fn invalid_bytes_are_shown_as_replacement_characters() {
        assert_eq!(shown_bytes(b"ab\xffcd"), "ab\u{fffd}cd");
    }

    #[test]
    fn utf8_is_judged_the_same_whatever_the_cut() {
        for (bytes, valid) in [
            ("aä€🦙z".as_bytes(), true),
            (b"\xe2\x82".as_slice(), false),
            (b"\xe2\x82A", false),
            (b"ok\xff", false),
            (b"\xed\xa0\x80", false),
            (b"\xf0\x9f\xa6\x99\xf0", false),
        ] {
            for cut in 0..=bytes.len() {
                let mut utf8 = Utf8::default();
                utf8.feed(&bytes[..cut]);
                utf8.feed(&bytes[cut..]);
                assert_eq!(utf8.is_complete(), valid, "{bytes:x?} cut at {cut}");
            }
            let mut utf8 = Utf8::default();
            for byte in bytes {
                utf8.feed(std::slice::from_ref(byte));
            }
            assert_eq!(utf8.is_complete(), valid, "{bytes:x?} byte by byte");
        }
    }

    #[test]
    fn fingerprints_stream() {
        let mut streamed = Fingerprint::default();
        streamed.feed(b"tok");
        streamed.feed(b"en");
        assert_eq!(streamed, Fingerprint::of(b"token"));
        assert_ne!(streamed.short(), Fingerprint::of(b"tokeo").short());
    }
}
