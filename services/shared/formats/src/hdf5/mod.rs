//! HDF5 (`.h5`), as Keras and h5py write it: datasets of numbers in groups, with attributes.
//!
//! The format is made for random access, so its structure is read first: every part of the file is found along the links from the
//! root, and no two may claim the same bytes. Then all bytes go by once: structure must be what was read, packed data must unpack to its
//! size and is searched, and what belongs to nothing is counted. Memory: bounded by `source::Allowance`, whatever the file claims. Trust
//! boundary: every byte.

mod arrays;
mod attributes;
mod chunks;
mod cursor;
mod datatype;
mod dense;
mod elsewhere;
mod filters;
mod group;
mod heap;
mod message;
mod object;
mod outline;
mod packed;
mod source;
mod superblock;
mod tree;

pub use elsewhere::Elsewhere;
pub use outline::Outline;
pub use source::Allowance;
pub use superblock::SIGNATURE;

use crate::ahead::Wrong;
use crate::budget::Budget;
use crate::bytes::in_memory;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;
use crate::text::Fingerprint;
use packed::{Contents, Piece};
use source::{Extent, Kind};

/// How many bytes that are not zero may belong to nothing. Files of Keras have none; where h5py deletes or moves something, some
/// kilobytes are left.
const MAX_LEFT_OVER_BYTES: u64 = 64 << 10;

/// What is being read.
enum Part {
    /// Bytes that belong to nothing, or numbers.
    Plain,
    /// Structure.
    Structure(Fingerprint),
    /// A piece of a dataset that filters have packed.
    Packed(Box<Piece>),
}

/// The inspector for an HDF5 file whose structure was read.
pub struct Hdf5 {
    outline: Outline,
    budget: Budget,
    contents: Contents,
    /// The part that is being read, or comes next.
    next: usize,
    part: Part,
    /// Bytes that belong to nothing and are not zero, and the first of them.
    left_over: u64,
    first: Option<u64>,
    findings: Findings,
}

impl std::fmt::Debug for Hdf5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hdf5")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Hdf5 {
    /// An inspector for the file with this outline.
    pub fn new(outline: Outline, budget: Budget) -> Self {
        Self {
            outline,
            contents: Contents::new(budget.clone()),
            budget,
            next: 0,
            part: Part::Plain,
            left_over: 0,
            first: None,
            findings: Findings::default(),
        }
    }

    /// An inspector for the file of which these are all bytes.
    ///
    /// # Errors
    ///
    /// Never: what is wrong with its structure is found when the bytes go by.
    pub fn of(bytes: &[u8], budget: Budget) -> Result<Box<dyn Inspector>, Wrong> {
        let outline = Outline::read(
            bytes.len() as u64,
            &mut in_memory(bytes),
            &mut Allowance::default(),
        );
        Ok(Box::new(Self::new(outline, budget)))
    }

    fn extent(&self) -> Option<Extent> {
        self.outline.extents.as_ref()?.get(self.next).copied()
    }

    fn unused(&mut self, at: u64, bytes: &[u8]) {
        let mut places = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        if let Some((index, _)) = places.next() {
            self.first = self.first.or(Some(at + index as u64));
            self.left_over += 1 + places.count() as u64;
        }
    }

    /// Bytes of a part, which begin there.
    fn part(&mut self, extent: Extent, at: u64, bytes: &[u8]) {
        if at == extent.at {
            self.part = match extent.kind {
                Kind::Structure(_) => Part::Structure(Fingerprint::default()),
                Kind::Numbers => Part::Plain,
                Kind::Packed(packing) => Part::Packed(Box::new(Piece::new(packing, extent.end - extent.at))),
            };
        }
        match &mut self.part {
            Part::Plain => {}
            Part::Structure(fingerprint) => fingerprint.feed(bytes),
            Part::Packed(piece) => {
                if let Err(rule) = piece.feed(bytes, &self.budget, &mut self.contents) {
                    let message = "a packed piece of a dataset is damaged, or becomes larger than it must be";
                    self.findings.add(rule, Place::at(extent.at), message);
                    self.contents.stop();
                    self.part = Part::Plain;
                }
            }
        }
        if at + bytes.len() as u64 == extent.end {
            self.end(extent);
        }
    }

    /// A part has ended.
    fn end(&mut self, extent: Extent) {
        self.next += 1;
        let place = Place::at(extent.at);
        match (std::mem::replace(&mut self.part, Part::Plain), extent.kind) {
            (Part::Structure(found), Kind::Structure(expected)) if found.short() != expected => {
                let message = "the structure of the file changed while it was inspected";
                self.findings.add(&rules::H5_CHANGED, place, message);
            }
            (Part::Packed(piece), Kind::Packed(packing)) => {
                if let Err(out) = piece.finish(&mut self.contents) {
                    let message = format_args!(
                        "a packed piece of a dataset has {out} bytes, not {} as its shape says",
                        packing.out
                    );
                    self.findings.add(&rules::H5_DATA, place, message);
                    self.contents.stop();
                }
            }
            _ => {}
        }
    }
}

impl Inspector for Hdf5 {
    fn feed(&mut self, mut at: u64, chunk: &[u8]) {
        if self.outline.extents.is_none() {
            return;
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let extent = self.extent();
            let begun = extent.filter(|extent| extent.at <= at);
            let until = begun.map_or(extent.map_or(u64::MAX, |next| next.at), |extent| extent.end);
            let length = usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX);
            let (mine, after) = rest.split_at(length.min(rest.len()));
            match begun {
                Some(extent) => self.part(extent, at, mine),
                None => self.unused(at, mine),
            }
            at += mine.len() as u64;
            rest = after;
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        let extents = self.outline.extents.take();
        let is_whole = extents.is_some();
        let mut findings = std::mem::take(&mut self.outline.findings);
        findings.append(self.findings);
        findings.append(self.contents.finish(&extents.unwrap_or_default()));
        if size != self.outline.size {
            let message = "the size of the file changed while it was inspected";
            findings.add(&rules::H5_CHANGED, Place::at(size), message);
        }
        if let Some(first) = self.first {
            let rule = if self.left_over > MAX_LEFT_OVER_BYTES {
                &rules::H5_HIDDEN
            } else {
                &rules::H5_GAP
            };
            let message = format_args!("{} bytes belong to nothing", self.left_over);
            findings.add(rule, Place::at(first), message);
        }
        if is_whole && !findings.refuse() {
            let (rule, message) = if self.outline.is_model {
                (
                    &rules::KERAS_ADMITTED,
                    "every layer was read, and all of them are Keras's own",
                )
            } else {
                (
                    &rules::H5_ADMITTED,
                    "every part of the file was read, and it holds numbers only",
                )
            };
            findings.add(rule, Place::whole(), message);
        }
        Found {
            findings,
            facts: is_whole.then_some(self.outline.facts),
            ..Found::default()
        }
    }
}
