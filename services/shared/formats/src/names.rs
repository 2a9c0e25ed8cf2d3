//! Names of tensors, kept for messages within a fixed budget, and the fingerprints that find repeated ones.

use std::collections::BTreeSet;

use crate::text::{self, Fingerprint};

/// The most bytes of names that are kept for messages. Later names are known by their position only.
const BUDGET_BYTES: usize = 512 << 10;

/// The names seen so far.
#[derive(Debug, Default)]
pub struct Names {
    seen: BTreeSet<Fingerprint>,
    shown: Vec<Box<str>>,
    spent: usize,
}

impl Names {
    /// Takes a name by its fingerprint and the (possibly cut) text to show. Returns false if it was there before.
    pub fn insert(&mut self, fingerprint: Fingerprint, text: &[u8]) -> bool {
        if self.spent < BUDGET_BYTES {
            let shown: Box<str> = text::shown_bytes(text).into();
            self.spent += shown.len() + size_of::<Box<str>>();
            self.shown.push(shown);
        }
        self.seen.insert(fingerprint)
    }

    /// The name that was inserted as number `index`, sanitised, if it was kept.
    pub fn shown(&self, index: u32) -> Option<&str> {
        self.shown.get(usize::try_from(index).ok()?).map(AsRef::as_ref)
    }
}
