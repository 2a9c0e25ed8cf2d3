//! Small files that are held until they are there whole, because their structure has to be read before their bytes.

use crate::ahead::Wrong;
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules::Rule;

/// The largest file that is held.
pub const MAX_HELD_BYTES: usize = 8 << 20;

/// The bytes of a file, as long as there are not too many.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Held {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.bytes.len() + chunk.len() > MAX_HELD_BYTES {
            self.too_large = true;
            self.bytes = Vec::new();
        }
        if !self.too_large {
            self.bytes.extend_from_slice(chunk);
        }
    }

    /// All bytes; `None` if they were more than [`MAX_HELD_BYTES`].
    pub fn whole(self) -> Option<Vec<u8>> {
        (!self.too_large).then_some(self.bytes)
    }
}

/// Makes the inspector of a file that is there whole.
type Open = fn(&[u8], Budget) -> Result<Box<dyn Inspector>, Wrong>;

/// A file of which nothing could be read ahead, because it comes as a stream or in another file: it is held until it is there whole.
#[derive(Debug)]
pub struct Whole {
    held: Held,
    budget: Budget,
    open: Open,
    /// What is said of one that is too large, and what it is called.
    too_large: (&'static Rule, &'static str),
}

impl Whole {
    /// Holds a file of this kind and opens it so; the rule is for one that is too large.
    pub fn new(budget: Budget, open: Open, rule: &'static Rule, kind: &'static str) -> Self {
        Self {
            held: Held::default(),
            budget,
            open,
            too_large: (rule, kind),
        }
    }
}

impl Inspector for Whole {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        self.held.feed(chunk);
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let Some(bytes) = self.held.whole() else {
            let (rule, kind) = self.too_large;
            let message = format_args!(
                "{kind} of {size} bytes that comes as a stream or in another file; up to {MAX_HELD_BYTES} can be held"
            );
            let mut findings = Findings::default();
            findings.add(rule, Place::whole(), message);
            return Found {
                findings,
                ..Found::default()
            };
        };
        match (self.open)(&bytes, self.budget) {
            Ok(mut inspector) => {
                inspector.feed(0, &bytes);
                inspector.finish(size)
            }
            Err(wrong) => Box::new(wrong).finish(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_up_to_the_limit_and_nothing_after_it() {
        let half = vec![1; MAX_HELD_BYTES / 2];
        let mut held = Held::default();
        held.feed(&half);
        held.feed(&half);
        assert_eq!(held.whole().unwrap().len(), MAX_HELD_BYTES);
        let mut held = Held::default();
        held.feed(&half);
        held.feed(&half);
        held.feed(&[1]);
        held.feed(&[2]);
        assert!(held.bytes.is_empty());
        assert!(held.whole().is_none());
    }
}
