//! The file as the outline reads it: any part of it, within a budget, each part noted so that no two can claim the same bytes.

use super::cursor::Fault;
use crate::ahead::{Peek, Wrong};
use crate::rules;
use crate::text::Fingerprint;

/// The most bytes of structure that are read. A model with ten thousand tensors has some twenty-five megabytes.
const MAX_READ_BYTES: u64 = 64 << 20;
/// The most bytes of one structure.
const MAX_PART_BYTES: u64 = 8 << 20;
/// The most parts of a file.
const MAX_EXTENTS: usize = 256 << 10;
/// Bytes that are read at once where structures are small.
const WINDOW_BYTES: u64 = 8 << 10;

/// What lies in a part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Structure, which was read and is known by the fingerprint of its bytes.
    Structure(u64),
    /// Numbers as they are.
    Numbers,
    /// A piece of a dataset, as filters have left it.
    Packed(Packing),
}

/// What filters have made of a piece of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Bytes that come out, with their checksums.
    pub out: u64,
    /// Bytes of an element, the bytes of which lie apart; 1 if they lie as they were.
    pub element: u32,
    /// Bytes of checksums at the end of what comes out.
    pub checks: u8,
    /// How many of these came after the bytes were put apart, and are as they were.
    pub plain: u8,
    /// Bytes of checksums after the packed ones.
    pub after: u8,
    /// Whether it is packed with zlib.
    pub deflated: bool,
}

impl Packing {
    /// Bytes of the dataset.
    pub fn content(self) -> u64 {
        self.out.saturating_sub(self.checks.into())
    }

    /// Whether the bytes of elements lie apart.
    pub fn is_apart(self) -> bool {
        self.element > 1
    }
}

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub at: u64,
    /// Where it has ended.
    pub end: u64,
    /// What it is.
    pub kind: Kind,
}

/// What may still be read and noted: one file, or all files of this kind in an archive.
#[derive(Debug)]
pub struct Allowance {
    bytes: u64,
    extents: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            bytes: MAX_READ_BYTES,
            extents: MAX_EXTENTS,
        }
    }
}

/// A file that is looked into.
pub struct Source<'a> {
    /// How many bytes the file has.
    pub size: u64,
    peek: Peek<'a>,
    allowance: &'a mut Allowance,
    window: Vec<u8>,
    window_at: u64,
    extents: Vec<Extent>,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl<'a> Source<'a> {
    /// A file of `size` bytes.
    pub fn new(size: u64, peek: Peek<'a>, allowance: &'a mut Allowance) -> Self {
        Self {
            size,
            peek,
            allowance,
            window: Vec::new(),
            window_at: 0,
            extents: Vec::new(),
        }
    }

    /// The bytes there, without a note of them.
    pub fn look(&mut self, at: u64, length: u64) -> Result<Vec<u8>, Wrong> {
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        let Some(end) = end else {
            let message = format!("a structure of {length} bytes lies beyond the end of the file");
            return Err(Fault::of(&rules::H5_TRUNCATED, message).at(at.min(self.size)));
        };
        if length > MAX_PART_BYTES {
            let message = format!("a structure of {length} bytes; up to {MAX_PART_BYTES} are read");
            return Err(Fault::of(&rules::H5_LIMIT, message).at(at));
        }
        let Some(left) = self.allowance.bytes.checked_sub(length) else {
            let message = "the file has more structure than an inspection reads";
            return Err(Fault::of(&rules::H5_LIMIT, message).at(at));
        };
        self.allowance.bytes = left;
        let unreadable = || Fault::of(&rules::H5_CHANGED, "the file could not be read there").at(at);
        if length > WINDOW_BYTES {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            return (self.peek)(at, &mut bytes)
                .then_some(bytes)
                .ok_or_else(unreadable);
        }
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            let room = WINDOW_BYTES.min(self.size - at);
            self.window = vec![0; usize::try_from(room).unwrap_or(0)];
            self.window_at = at;
            if !(self.peek)(at, &mut self.window) {
                self.window.clear();
                return Err(unreadable());
            }
        }
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        let part = self
            .window
            .get(from..)
            .and_then(|rest| rest.get(..usize::try_from(length).ok()?));
        part.map(<[u8]>::to_vec).ok_or_else(unreadable)
    }

    /// The bytes of a structure there, which nothing else may claim.
    pub fn take(&mut self, at: u64, length: u64) -> Result<Vec<u8>, Wrong> {
        let bytes = self.look(at, length)?;
        self.claim(at, length, Kind::Structure(Fingerprint::of(&bytes).short()))?;
        Ok(bytes)
    }

    /// Notes what lies there.
    pub fn claim(&mut self, at: u64, length: u64, kind: Kind) -> Result<(), Wrong> {
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        let Some(end) = end else {
            let message = format!("{length} bytes of numbers lie beyond the end of the file");
            return Err(Fault::of(&rules::H5_TRUNCATED, message).at(at.min(self.size)));
        };
        if length > 0 {
            let left = self.allowance.extents.checked_sub(1);
            let full = || Fault::of(&rules::H5_LIMIT, "the file has too many parts").at(at);
            self.allowance.extents = left.ok_or_else(full)?;
            self.extents.push(Extent { at, end, kind });
        }
        Ok(())
    }

    /// The parts of the file, in their order.
    ///
    /// # Errors
    ///
    /// When two claim the same bytes.
    pub fn conclude(mut self) -> Result<Vec<Extent>, Wrong> {
        self.extents
            .sort_unstable_by_key(|extent| (extent.at, extent.end));
        let pairs = self.extents.iter().zip(self.extents.iter().skip(1));
        for (one, other) in pairs {
            if other.at < one.end {
                let message = format!("two parts of the file claim the bytes from {} on", other.at);
                return Err(Fault::of(&rules::H5_OVERLAP, message).at(other.at));
            }
        }
        Ok(self.extents)
    }
}
