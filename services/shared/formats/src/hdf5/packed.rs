//! Pieces of datasets that are stored by filters: unpacked, put back in order, and searched like everything else that a program
//! gets to see.
//!
//! All pieces of a file are searched as one text in the order in which they lie there, which is that of the dataset unless somebody took
//! pains, so that what is cut in two by the border of a piece is found too. Memory: a piece whose bytes were put apart is held,
//! up to [`MAX_APART_BYTES`]; others are not.

use super::source::{Extent, Kind, Packing};
use crate::budget::Budget;
use crate::finding::Findings;
use crate::format::Format;
use crate::rules::{self, Rule};
use crate::scan::{Own, Scan};
use crate::unpack::Inflate;

/// The largest piece whose bytes may be put apart. h5py makes pieces of a megabyte at most, unless it is told to.
pub const MAX_APART_BYTES: u64 = 8 << 20;
/// Bytes that are put back in order at a time.
const WINDOW_BYTES: usize = 32 << 10;

/// A piece that is being read.
pub struct Piece {
    packing: Packing,
    inflate: Option<Box<Inflate>>,
    /// Bytes that have come out.
    out: u64,
    /// Packed bytes that are left.
    left: u64,
    /// What has come out, where its bytes were put apart.
    apart: Vec<u8>,
}

impl Piece {
    /// A piece of `length` bytes in the file.
    pub fn new(packing: Packing, length: u64) -> Self {
        Self {
            packing,
            inflate: packing.deflated.then(|| Box::new(Inflate::new(true))),
            out: 0,
            left: length.saturating_sub(packing.after.into()),
            apart: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// The rule that they break.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        budget: &Budget,
        contents: &mut Contents,
    ) -> Result<(), &'static Rule> {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = bytes.get(..taken).unwrap_or_default();
        self.left -= taken as u64;
        let (packing, out, apart) = (self.packing, &mut self.out, &mut self.apart);
        let mut wrong = None;
        let mut receive = |bytes: &[u8]| {
            let begins = *out;
            *out += bytes.len() as u64;
            if packing.deflated && !budget.spend(bytes.len()) {
                wrong = Some(&rules::H5_BOMB);
            } else if *out > packing.out {
                wrong = Some(&rules::H5_DATA);
            } else if packing.is_apart() {
                if apart.is_empty() {
                    apart.reserve_exact(usize::try_from(packing.out).unwrap_or(0));
                }
                apart.extend_from_slice(bytes);
            } else {
                contents.feed(kept(bytes, packing.content().saturating_sub(begins)));
            }
            wrong.is_none()
        };
        let whole = match &mut self.inflate {
            Some(inflate) => inflate.feed(bytes, receive) == Ok(taken),
            None => receive(bytes),
        };
        match wrong {
            Some(rule) => Err(rule),
            None if whole => Ok(()),
            None => Err(&rules::H5_DATA),
        }
    }

    /// The piece has ended.
    ///
    /// # Errors
    ///
    /// How many bytes came out, if that is not what there must be.
    pub fn finish(self, contents: &mut Contents) -> Result<(), u64> {
        let ended = self.inflate.as_ref().is_none_or(|inflate| inflate.has_ended());
        if self.out != self.packing.out || self.left > 0 || !ended {
            return Err(self.out);
        }
        if self.packing.is_apart() {
            self.put_together(contents);
        }
        Ok(())
    }

    /// Puts the bytes of each element, which lie apart, side by side: first come the first bytes of all elements, then the second ones.
    fn put_together(&self, contents: &mut Contents) {
        let element = usize::try_from(self.packing.element).unwrap_or(usize::MAX);
        let (apart, as_it_was) = self
            .apart
            .split_at(self.apart.len().saturating_sub(self.packing.plain.into()));
        let count = apart.len() / element.max(1);
        let (apart, rest) = apart.split_at(count * element);
        let mut left = self.packing.content();
        let mut window = Vec::with_capacity(WINDOW_BYTES);
        for index in 0..count {
            for byte in apart.iter().skip(index).step_by(count.max(1)) {
                window.push(*byte);
                if window.len() == WINDOW_BYTES {
                    contents.feed(kept(&window, left));
                    left = left.saturating_sub(window.len() as u64);
                    window.clear();
                }
            }
        }
        // What is less than an element stays where it is.
        for bytes in [&window, rest, as_it_was] {
            contents.feed(kept(bytes, left));
            left = left.saturating_sub(bytes.len() as u64);
        }
    }
}

/// What of these bytes is content, when so many are left of it.
fn kept(bytes: &[u8], left: u64) -> &[u8] {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(..length).unwrap_or_default()
}

/// The search in what comes out of all pieces of a file.
#[derive(Debug)]
pub struct Contents {
    budget: Budget,
    scan: Option<Box<Scan>>,
    /// A piece was damaged: what follows has no known place.
    stopped: bool,
}

impl Contents {
    /// Nothing came out yet.
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            scan: None,
            stopped: false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if !self.stopped {
            let budget = &self.budget;
            self.scan
                .get_or_insert_with(|| Box::new(Scan::new(budget.scanner())))
                .feed(bytes);
        }
    }

    /// A piece is damaged, so that the file is refused.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// What was found in the pieces of a file with these parts, each at the piece in which it begins.
    pub fn finish(self, extents: &[Extent]) -> Findings {
        let Some(scan) = self.scan else {
            return Findings::default();
        };
        let found = scan.finish(Format::Hdf5, &Own::Nothing);
        if found.is_empty() {
            return found;
        }
        let mut end = 0_u64;
        let ends: Vec<(u64, u64)> = extents
            .iter()
            .filter_map(|extent| match extent.kind {
                Kind::Packed(packing) => {
                    end = end.saturating_add(packing.content());
                    Some((end, extent.at))
                }
                _ => None,
            })
            .collect();
        found.within("packed data", |offset| {
            let piece = ends.partition_point(|(end, _)| *end <= offset);
            ends.get(piece).map_or(0, |(_, at)| *at)
        })
    }
}
