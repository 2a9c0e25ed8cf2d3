//! A text in JSON: cut to a fixed length, its fingerprint over all of it.

use crate::text::{Fingerprint, Utf8};

/// The most bytes of a text that are kept, unless the reader is told otherwise.
pub const MAX_TEXT_BYTES: usize = 1024;

/// A text after escapes are resolved.
#[derive(Debug)]
pub struct Text {
    kept: Vec<u8>,
    limit: usize,
    bytes: u64,
    fingerprint: Fingerprint,
    utf8: Utf8,
}

impl Default for Text {
    fn default() -> Self {
        Self::keeping(MAX_TEXT_BYTES)
    }
}

impl Text {
    /// A text of which so many bytes are kept.
    pub(super) fn keeping(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            bytes: 0,
            fingerprint: Fingerprint::default(),
            utf8: Utf8::default(),
        }
    }

    /// Whether it ends with a whole character.
    pub(super) fn is_complete(&self) -> bool {
        self.utf8.is_complete()
    }

    /// The beginning of it: [`MAX_TEXT_BYTES`], unless the reader was told to keep more.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The whole text, unless it is longer than what is kept.
    pub fn whole(&self) -> Option<&str> {
        (self.bytes == self.kept.len() as u64)
            .then(|| std::str::from_utf8(&self.kept).ok())
            .flatten()
    }

    /// The fingerprint of the whole text.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.fingerprint = Fingerprint::default();
        self.utf8 = Utf8::default();
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let room = self.limit.saturating_sub(self.kept.len());
        self.kept.extend(bytes.iter().take(room));
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.fingerprint.feed(bytes);
        self.utf8.feed(bytes)
    }

    pub(super) fn push_char(&mut self, c: char) -> bool {
        // An escape in the middle of a raw multi-byte character leaves that character broken.
        self.utf8.is_complete() && self.push(c.encode_utf8(&mut [0; 4]).as_bytes())
    }
}
