//! PyTorch checkpoints since version 1.6: a pickle, and a member of raw numbers for each storage that it names.
//!
//! Everything must be there that the pickle names, of the very size, and nothing else. Source: PyTorch's
//! `torch/serialization.py` and `caffe2/serialize/inline_container.cc`, version 2.

use std::collections::BTreeMap;

use holdfast_contract::report::ModelFacts;

use super::directory::Directory;
use super::entry::Entry;
use super::package::{Content, pickle};
use crate::disarm::Weights;
use crate::finding::{Findings, Place};
use crate::pickle::{Summary, facts};
use crate::rules;
use crate::text;

/// Short texts beside the pickle: which version of the format, in which order bytes are, an id of the content.
const NOTES: [&str; 5] = [
    "version",
    "byteorder",
    ".format_version",
    ".storage_alignment",
    ".data/serialization_id",
];
/// The longest of them.
const MAX_NOTE_BYTES: usize = 64;

/// A checkpoint as far as it has been read.
#[derive(Debug)]
pub struct Checkpoint {
    /// The directory that all members are in, with its slash.
    root: String,
    /// Where each member with numbers begins, and where its numbers do, unless they are compressed.
    placed: Vec<(u64, u64)>,
    /// How many members were begun.
    reached: u64,
    summary: Option<Summary>,
}

impl Checkpoint {
    /// A checkpoint with these members, in their order.
    pub fn of(names: &[String], findings: &mut Findings) -> Self {
        let root = root(names);
        let stray = names.iter().find(|name| {
            let rest = name.strip_prefix(&root).filter(|_| !root.is_empty());
            !rest.is_some_and(is_expected)
        });
        if let Some(stray) = stray {
            let message = "a member that does not belong to a PyTorch checkpoint";
            findings.add(&rules::PT_STRAY, Place::whole().of(stray), message);
        }
        Self {
            root,
            placed: Vec::new(),
            reached: 0,
            summary: None,
        }
    }

    /// Who looks at the member of this name.
    pub fn open(&mut self, name: &str) -> Content {
        let Some(rest) = name.strip_prefix(&self.root) else {
            return Content::Raw;
        };
        if rest == "data.pkl" {
            return pickle();
        }
        if rest.starts_with("data/") {
            self.reached += 1;
            return Content::Raw;
        }
        Content::Note(Vec::new())
    }

    /// The numbers in this member begin there.
    pub fn placed(&mut self, entry: &Entry, at: u64) {
        let here = entry.name.strip_prefix(self.root.as_bytes());
        if here.is_some_and(|rest| rest.starts_with(b"data/")) {
            self.placed.push((entry.at, at));
        }
    }

    /// The pickle was read.
    pub fn unpickled(&mut self, summary: Summary) {
        self.summary = Some(summary);
    }

    /// Compares what the pickle names with what is there.
    pub fn conclude(
        mut self,
        directory: &Directory,
        complete: bool,
        findings: &mut Findings,
    ) -> Option<(ModelFacts, Weights)> {
        let mut summary = self.summary.take()?;
        // What is known of a pickle that is refused is not all that it names.
        let complete = complete && !findings.refuse();
        let mut there = self.numbers(directory);
        for (storage, place_of) in summary.storages.iter().zip(&mut summary.places) {
            let key = storage.key.to_string();
            let place = Place::whole().of(&key);
            let wanted = storage.elements.checked_mul(storage.element.bytes);
            match there.remove(key.as_bytes()) {
                Some((size, at)) if Some(size) == wanted => {
                    let placed = self.placed.binary_search_by_key(&at, |(begins, _)| *begins);
                    *place_of = placed
                        .ok()
                        .and_then(|index| self.placed.get(index))
                        .map(|(_, at)| *at);
                }
                Some((size, _)) => {
                    let message = format_args!(
                        "a storage has {size} bytes, the pickle says {} elements of {}",
                        storage.elements, storage.element.name
                    );
                    findings.add(&rules::PT_STORAGE, place, message);
                }
                // After damage, members may not have been reached.
                None if complete => {
                    findings.add(
                        &rules::PT_STORAGE,
                        place,
                        "a storage that the pickle names is not there",
                    );
                }
                None => {}
            }
        }
        if complete && let Some((key, (size, _))) = there.pop_first() {
            let place = Place::whole().of(&text::shown_bytes(&key));
            let message = format_args!("{size} bytes that the pickle does not use");
            findings.add(&rules::PT_UNUSED, place, message);
        }
        let facts = facts(&summary);
        Weights::of(summary).map(|weights| (facts, weights))
    }

    /// The size and the beginning of each member with numbers that was reached, by its key.
    fn numbers(&self, directory: &Directory) -> BTreeMap<Box<[u8]>, (u64, u64)> {
        let mut numbers = BTreeMap::new();
        for entry in directory.entries() {
            if numbers.len() as u64 == self.reached {
                break;
            }
            let rest = entry.name.strip_prefix(self.root.as_bytes());
            if let Some(key) = rest.and_then(|rest| rest.strip_prefix(b"data/")) {
                numbers.insert(key.into(), (entry.size, entry.at));
            }
        }
        numbers
    }
}

/// Judges a short text beside the pickle.
pub fn note(name: &str, note: &[u8], size: u64, at: u64, findings: &mut Findings) {
    let place = Place::at(at).of(name);
    let printable = note
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if size > MAX_NOTE_BYTES as u64 || !printable {
        let message = "a note about the format is no short text";
        findings.add(&rules::PT_NOTE, place, message);
    } else if name.ends_with("/byteorder") && note != b"little" {
        let message = format_args!(
            "the numbers are in the byte order \"{}\"",
            text::shown_bytes(note)
        );
        findings.add(&rules::PT_NOTE, place, message);
    }
}

/// The directory that all members of a PyTorch archive are in, with its slash: PyTorch takes that of the first member for it. Empty if
/// there is none.
pub fn root(names: &[String]) -> String {
    names
        .first()
        .and_then(|first| first.split_once('/'))
        .map(|(root, _)| format!("{root}/"))
        .unwrap_or_default()
}

fn is_expected(name: &str) -> bool {
    let storage = name
        .strip_prefix("data/")
        .is_some_and(|key| !key.is_empty() && !key.contains('/'));
    name == "data.pkl" || storage || is_note(name)
}

/// Whether the member of this name, below the archive's directory, is a short text about the format.
pub fn is_note(name: &str) -> bool {
    NOTES.contains(&name)
}
