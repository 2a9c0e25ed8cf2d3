//! A small archive whose directory cannot be read first, because it comes as a stream or lies within another archive: it is
//! held until it is there whole.

use super::Zip;
use super::budget::Budget;
use super::directory::Directory;
use super::outlines::Outlines;
use crate::bytes::in_memory;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;

/// The largest archive that is held.
const MAX_HELD_BYTES: usize = 8 << 20;

/// The inspector for an archive without its directory.
#[derive(Debug)]
pub struct Held {
    bytes: Vec<u8>,
    too_large: bool,
    budget: Budget,
}

impl Held {
    /// Holds what comes.
    pub fn new(budget: Budget) -> Self {
        Self {
            bytes: Vec::new(),
            too_large: false,
            budget,
        }
    }
}

impl Inspector for Held {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        if self.bytes.len() + chunk.len() > MAX_HELD_BYTES {
            self.too_large = true;
            self.bytes = Vec::new();
        }
        if !self.too_large {
            self.bytes.extend_from_slice(chunk);
        }
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let mut findings = Findings::default();
        if self.too_large {
            let message = format_args!(
                "an archive of {size} bytes that comes as a stream or within another one; up to {MAX_HELD_BYTES} can be held"
            );
            findings.add(&rules::ZIP_NESTED, Place::whole(), message);
            return Found {
                findings,
                ..Found::default()
            };
        }
        let mut peek = in_memory(&self.bytes);
        match Directory::read(self.bytes.len() as u64, &mut peek) {
            Ok(directory) => {
                let outlines = Outlines::read(&directory, &mut peek);
                let mut zip = Box::new(Zip::new(directory, outlines, self.budget));
                zip.feed(0, &self.bytes);
                zip.finish(size)
            }
            Err(wrong) => Box::new(wrong).finish(size),
        }
    }
}
