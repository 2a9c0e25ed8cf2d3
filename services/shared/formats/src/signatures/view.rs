//! The bytes around an atom, read by their distance from it.

use crate::scan::Hit;

/// The bytes around an atom.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What is before it.
    pub before: &'a [u8],
    /// The atom and what follows it.
    pub bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// What a hit shows.
    pub fn of(hit: &Hit<'a>) -> Self {
        let (before, bytes) = hit.window.split_at(hit.index.min(hit.window.len()));
        Self { before, bytes }
    }

    /// The byte at a distance.
    pub fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// The 16-bit number at a distance, little end first.
    pub fn half(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// The 32-bit number at a distance, little end first.
    pub fn word(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The 64-bit number at a distance, little end first.
    pub fn long(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// The 16-bit number at a distance, big end first.
    pub fn half_be(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The 32-bit number at a distance, big end first.
    pub fn word_be(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// Whether these bytes stand at a distance.
    pub fn has(self, at: usize, expected: &[u8]) -> bool {
        self.bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(expected))
    }
}
