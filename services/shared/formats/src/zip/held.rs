//! A small archive whose directory cannot be read first, because it comes as a stream or lies within another archive: it is
//! held until it is there whole.

use super::Zip;
use super::budget::Budget;
use super::directory::Directory;
use super::outlines::Outlines;
use crate::bytes::in_memory;
use crate::finding::{Findings, Place};
use crate::held::{self, MAX_HELD_BYTES};
use crate::inspector::{Found, Inspector};
use crate::rules;

/// The inspector for an archive without its directory.
#[derive(Debug)]
pub struct Held {
    held: held::Held,
    budget: Budget,
}

impl Held {
    /// Holds what comes.
    pub fn new(budget: Budget) -> Self {
        Self {
            held: held::Held::default(),
            budget,
        }
    }
}

impl Inspector for Held {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        self.held.feed(chunk);
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let Some(bytes) = self.held.whole() else {
            let message = format_args!(
                "an archive of {size} bytes that comes as a stream or within another one; up to {MAX_HELD_BYTES} can be held"
            );
            let mut findings = Findings::default();
            findings.add(&rules::ZIP_NESTED, Place::whole(), message);
            return Found {
                findings,
                ..Found::default()
            };
        };
        match Directory::of(&bytes) {
            Ok(directory) => {
                let outlines = Outlines::read(&directory, &mut in_memory(&bytes));
                let mut zip = Box::new(Zip::new(directory, outlines, self.budget));
                zip.feed(0, &bytes);
                zip.finish(size)
            }
            Err(wrong) => Box::new(wrong).finish(size),
        }
    }
}
