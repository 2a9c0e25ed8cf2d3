//! What is read of a file before its bytes go by: how it is read, and what to say when it is of no use.

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules::{self, Rule};

/// Fills the buffer with the bytes that begin there; false if there are not so many.
pub type Peek<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> bool;

/// Why what was read ahead is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What kind of finding it is.
    pub rule: &'static Rule,
    /// Where.
    pub at: u64,
    /// What is the matter.
    pub message: String,
}

impl Wrong {
    /// For an archive that is not even opened.
    pub fn too_deep() -> Self {
        Self {
            rule: &rules::ZIP_NESTED,
            at: 0,
            message: "archives within archives, too deep to be looked into".to_owned(),
        }
    }
}

/// An archive without a directory: its bytes mean nothing.
impl Inspector for Wrong {
    fn feed(&mut self, _at: u64, _chunk: &[u8]) {}

    fn finish(self: Box<Self>, _size: u64) -> Found {
        let mut findings = Findings::default();
        findings.add(self.rule, Place::at(self.at), self.message);
        Found {
            findings,
            ..Found::default()
        }
    }
}
