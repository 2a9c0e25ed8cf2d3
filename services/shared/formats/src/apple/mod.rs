//! What macOS writes beside other files: `._name` with the notes on a file, `.DS_Store` with those on a directory.
//!
//! Archives that are made there hold them, and no loader reads them. So they are accepted, but only as what they are: the structure is
//! followed, their size is bounded, and as in everything else programs and archives are searched for in them. Under their names and in
//! `__MACOSX`, where people and programs look away, nothing else is accepted. Trust boundary: every byte, and the name.

mod double;
mod store;

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::held::Held;
use crate::inspector::{Found, Inspector};
use crate::rules;

/// The most bytes of such a file. The notes on one file are mostly a few hundred, with an icon of its own some hundred thousand.
const MAX_BYTES: usize = 1 << 20;

/// What must be in a file of this name, if the name is one that macOS gives its notes.
pub fn promised(name: &str) -> Option<Format> {
    let mut parts = name.rsplit(['/', '\\']);
    let last = parts.next().unwrap_or(name);
    if last == ".DS_Store" {
        Some(Format::DsStore)
    } else if last.len() > 2 && last.starts_with("._")
        || (!last.is_empty() && parts.any(|part| part == "__MACOSX"))
    {
        Some(Format::AppleDouble)
    } else {
        None
    }
}

/// Follows the structure of such a file, or says what is wrong.
type Check = fn(&[u8]) -> Result<(), &'static str>;

/// The inspector for both kinds.
#[derive(Debug)]
pub struct Notes {
    held: Held,
    check: Check,
}

impl Notes {
    /// For the notes on a file.
    pub fn double() -> Self {
        Self {
            held: Held::default(),
            check: double::check,
        }
    }

    /// For those on a directory.
    pub fn store() -> Self {
        Self {
            held: Held::default(),
            check: store::check,
        }
    }
}

impl Inspector for Notes {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        self.held.feed(chunk);
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let Self { held, check } = *self;
        let result = match held.whole().filter(|bytes| bytes.len() <= MAX_BYTES) {
            Some(bytes) => check(&bytes),
            None => Err("they are longer than such notes are"),
        };
        let mut findings = Findings::default();
        match result {
            Ok(()) => {
                let message = format_args!("{size} bytes of notes that macOS keeps; no part of a model");
                findings.add(&rules::FMT_NOTES, Place::whole(), message);
            }
            Err(why) => {
                let message = format_args!("not the notes of macOS that it begins as: {why}");
                findings.add(&rules::FMT_NOTES_BROKEN, Place::whole(), message);
            }
        }
        Found {
            findings,
            ..Found::default()
        }
    }
}

/// The big-endian number of four bytes that stands at `at`.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let number = u32::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?);
    usize::try_from(number).ok()
}

/// The big-endian number of two bytes that stands at `at`.
fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_be_bytes(bytes.get(at..)?.first_chunk().copied()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_what_macos_writes() {
        for (name, format) in [
            ("._model.safetensors", Some(Format::AppleDouble)),
            ("a/._b", Some(Format::AppleDouble)),
            ("__MACOSX/a/._b", Some(Format::AppleDouble)),
            ("__MACOSX/model.pkl", Some(Format::AppleDouble)),
            (".DS_Store", Some(Format::DsStore)),
            ("a/.DS_Store", Some(Format::DsStore)),
            ("__MACOSX/._.DS_Store", Some(Format::AppleDouble)),
            ("__MACOSX", None),
            ("__MACOSX/", None),
            ("._", None),
            ("a._b", None),
            ("DS_Store", None),
        ] {
            assert_eq!(promised(name), format, "{name}");
        }
    }
}
