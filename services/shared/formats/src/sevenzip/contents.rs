//! The files of an archive, as their contents come out of the packed streams.

use holdfast_contract::report::ModelFacts;

use super::header::{Coder, File, Part, Stream};
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::inspector::{FileInspector, Found, learn};
use crate::rules::{self, Rule};
use crate::text;
use crate::unpack::{Failure, Receive};

/// Why what comes out of a stream counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It does not unpack.
    Packed,
    /// It unpacks to something else than the header says.
    Content,
    /// More comes out than the archive's size can explain.
    Budget,
    /// It takes more memory than there is.
    Memory,
    /// It uses something that is not followed.
    Unsupported(&'static str),
}

impl From<Failure> for Damage {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged => Self::Packed,
            Failure::Memory => Self::Memory,
            Failure::Unsupported(what) => Self::Unsupported(what),
        }
    }
}

/// A file whose content goes by.
struct Member {
    file: Box<FileInspector>,
    name: Box<str>,
    sum: crc32fast::Hasher,
    /// What the sum should be.
    said: Option<u32>,
    /// How many bytes of it have not come.
    left: u64,
    /// Where it begins in what comes out of the stream.
    at: u64,
}

/// What is known of files.
#[derive(Default)]
struct Known {
    findings: Findings,
    facts: Option<ModelFacts>,
    /// Where HDF5 files begin.
    hdf5: Vec<u64>,
}

/// The stream that is being unpacked. What is found in it counts only when it has come to a good end: how far decoders come before they give
/// up depends on how the bytes were cut.
#[derive(Default)]
struct Open {
    /// The contents that are still to come out.
    parts: std::vec::IntoIter<Part>,
    member: Option<Member>,
    /// Where it begins in the archive.
    begins: u64,
    /// Whether it is there as it is.
    is_stored: bool,
    /// How many bytes came out.
    made: u64,
    /// Whether something came out that the header does not say.
    is_wrong: bool,
    known: Known,
}

/// All files of an archive, and what was found in them.
pub struct Contents {
    files: std::vec::IntoIter<File>,
    /// How many of all of them are no directories.
    total: usize,
    stream: Open,
    budget: Budget,
    known: Known,
}

impl Contents {
    /// The contents of these files, of which this was found so far.
    pub fn new(files: Vec<File>, findings: Findings, budget: Budget) -> Self {
        Self {
            total: files.iter().filter(|file| !file.is_directory).count(),
            files: files.into_iter(),
            stream: Open::default(),
            budget,
            known: Known {
                findings,
                ..Known::default()
            },
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, rule: &'static Rule, place: Place, message: impl std::fmt::Display) {
        self.known.findings.add(rule, place, message);
    }

    /// Adds what is the matter with the stream.
    pub fn damaged(&mut self, damage: Damage) {
        let place = Place::at(self.stream.begins);
        let (rule, message): (&'static Rule, _) = match damage {
            Damage::Packed => (
                &rules::SEVENZIP_DATA,
                "a packed stream is damaged, or does not end where it should".to_owned(),
            ),
            Damage::Content => (
                &rules::SEVENZIP_DATA,
                "what comes out of a packed stream has other sizes or checksums than the header says"
                    .to_owned(),
            ),
            Damage::Budget => (
                &rules::ZIP_BOMB,
                "far more comes out of the archive than its size can explain".to_owned(),
            ),
            Damage::Memory => (
                &rules::CMP_MEMORY,
                "unpacking it takes more memory than an inspection has".to_owned(),
            ),
            Damage::Unsupported(what) => (&rules::SEVENZIP_METHOD, format!("it has {what}")),
        };
        self.add(rule, place, message);
    }

    /// A stream begins at this place in the archive.
    pub fn begin(&mut self, stream: Stream, at: u64) {
        self.stream = Open {
            begins: at,
            is_stored: stream.coder == Coder::Copy && !stream.is_filtered,
            parts: stream.parts.into_iter(),
            ..Open::default()
        };
    }

    /// Takes what comes out of the stream while `run` unpacks it.
    ///
    /// # Errors
    ///
    /// When the rest is not to be followed.
    pub fn receive(&mut self, run: impl FnOnce(Receive<'_>) -> Result<(), Failure>) -> Result<(), Damage> {
        let mut is_enough = false;
        let result = run(&mut |out| {
            is_enough = !self.budget.spend(out.len());
            if !is_enough {
                self.take(out);
            }
            !is_enough
        });
        if is_enough {
            return Err(Damage::Budget);
        }
        Ok(result?)
    }

    fn take(&mut self, out: &[u8]) {
        let mut rest = out;
        while !rest.is_empty() && self.next() {
            let Some(member) = &mut self.stream.member else {
                return;
            };
            let taken = usize::try_from(member.left).unwrap_or(usize::MAX).min(rest.len());
            let (mine, after) = rest.split_at(taken);
            member.file.feed(mine);
            member.sum.update(mine);
            member.left -= taken as u64;
            self.stream.made += taken as u64;
            rest = after;
        }
        self.stream.is_wrong |= !rest.is_empty();
    }

    /// Goes on to the file that the next bytes belong to; false if the stream should have ended.
    fn next(&mut self) -> bool {
        while self.stream.member.as_ref().is_none_or(|member| member.left == 0) {
            self.stream.close();
            let Some(part) = self.stream.parts.next() else {
                return false;
            };
            // There are as many as contents.
            let Some(file) = self.files.find(|file| file.has_content) else {
                return false;
            };
            self.stream.member = Some(Member {
                file: Box::new(FileInspector::within(&file.name, &self.budget)),
                name: file.name,
                sum: crc32fast::Hasher::new(),
                said: part.sum,
                left: part.bytes,
                at: self.stream.made,
            });
        }
        true
    }

    /// The stream has ended, and everything should have come out.
    ///
    /// # Errors
    ///
    /// When it has not, or is something else.
    pub fn end(&mut self) -> Result<(), Damage> {
        if self.next() || self.stream.is_wrong {
            return Err(Damage::Content);
        }
        let Known {
            findings,
            facts,
            hdf5,
        } = std::mem::take(&mut self.stream.known);
        self.known.findings.append(findings);
        learn(&mut self.known.facts, facts);
        self.known.hdf5.extend(hdf5);
        Ok(())
    }

    /// The archive has ended.
    pub fn conclude(mut self) -> Found {
        if self.total == 0 && !self.known.findings.refuse() {
            self.add(&rules::FMT_EMPTY, Place::whole(), "the archive has no files");
        }
        if !self.known.findings.refuse() {
            let message = match self.total {
                1 => "a 7z archive, whose one file was inspected".to_owned(),
                count => format!("a 7z archive, all of whose {count} files were inspected"),
            };
            self.add(&rules::SEVENZIP_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.known.findings,
            facts: self.known.facts,
            hdf5: self.known.hdf5,
            ..Found::default()
        }
    }
}

impl Open {
    /// The content of a file is there.
    fn close(&mut self) {
        let Some(member) = self.member.take() else { return };
        self.is_wrong |= member.said != Some(member.sum.finalize());
        let outcome = member.file.finish();
        let (begins, at, is_stored) = (self.begins, self.begins.saturating_add(member.at), self.is_stored);
        let place = |offset: u64| {
            if is_stored {
                at.saturating_add(offset)
            } else {
                begins
            }
        };
        let findings = outcome.findings.within(&text::shown(&member.name), place);
        self.known.findings.append(findings);
        if is_stored {
            self.known
                .hdf5
                .extend(outcome.hdf5.iter().map(|offset| place(*offset)));
        }
        learn(&mut self.known.facts, outcome.facts);
    }
}
