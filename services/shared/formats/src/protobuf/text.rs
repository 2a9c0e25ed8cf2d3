//! A text or byte string as it streams by: a bounded beginning, a fingerprint of all of it, and whether it shows.

use crate::text::{self, Fingerprint};

/// How much of a text is kept.
const MAX_KEPT_BYTES: usize = 512;

/// What is known of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    kept: Vec<u8>,
    total: u64,
    fingerprint: Fingerprint,
    /// The beginning of a character that is not complete.
    partial: Vec<u8>,
    hidden: bool,
    invalid: bool,
}

impl Text {
    /// Takes the next bytes of it.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = MAX_KEPT_BYTES - self.kept.len();
        self.kept.extend(bytes.iter().take(room));
        self.total += bytes.len() as u64;
        self.fingerprint.feed(bytes);
        self.look(bytes);
    }

    /// Looks for characters that do not show, across the cuts.
    fn look(&mut self, mut bytes: &[u8]) {
        while let (false, Some((first, rest))) = (self.partial.is_empty(), bytes.split_first()) {
            self.partial.push(*first);
            bytes = rest;
            match std::str::from_utf8(&self.partial) {
                Ok(text) => {
                    self.hidden |= text.chars().any(is_hidden);
                    self.partial.clear();
                }
                Err(error) if error.error_len().is_some() => {
                    self.invalid = true;
                    self.partial.clear();
                }
                Err(_) => {}
            }
        }
        let mut pieces = bytes.utf8_chunks().peekable();
        while let Some(piece) = pieces.next() {
            self.hidden |= piece.valid().chars().any(is_hidden);
            let end = piece.invalid();
            let cut = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
            if cut && pieces.peek().is_none() {
                self.partial = end.to_vec();
            } else {
                self.invalid |= !end.is_empty();
            }
        }
    }

    /// The beginning of it.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// All of it, if it is short and UTF-8.
    pub fn whole(&self) -> Option<&str> {
        (self.kept.len() as u64 == self.total)
            .then(|| std::str::from_utf8(&self.kept).ok())
            .flatten()
    }

    /// How long it is, in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What identifies it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether it is a text that holds characters which do not show, besides line ends and what joins emoji.
    pub fn is_hidden(&self) -> bool {
        self.hidden && !self.is_invalid()
    }

    /// Whether it is not UTF-8.
    pub fn is_invalid(&self) -> bool {
        self.invalid || !self.partial.is_empty()
    }

    /// The beginning of it, safe to show.
    pub fn shown(&self) -> String {
        text::shown_bytes(&self.kept)
    }
}

fn is_hidden(character: char) -> bool {
    !matches!(character, '\n' | '\r' | '\t' | '\u{200d}' | '\u{fe0f}') && text::is_hidden(character)
}
