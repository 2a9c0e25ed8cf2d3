//! The files of an archive, as their contents come out of the packed streams.

use holdfast_contract::report::ModelFacts;

use super::header::{Coder, File, Part, Stream};
use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::inspector::{FileInspector, Found, learn};
use crate::rules::{self, Rule};
use crate::text;
use crate::unpack::{Failure, Receive};

/// Why a stream is not followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It does not unpack.
    Packed,
    /// Another number of bytes comes out than the header says.
    Size,
    /// A content has this checksum, not the one that the header says.
    Sum(u32),
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
    name: String,
    sum: crc32fast::Hasher,
    expected: Option<u32>,
    /// How many bytes of it have not come.
    left: u64,
    /// Where it begins in what comes out of the stream.
    at: u64,
}

/// All files of an archive, and what was found in them.
pub struct Contents {
    files: std::vec::IntoIter<File>,
    /// The contents that are still to come out of the stream.
    parts: std::vec::IntoIter<Part>,
    member: Option<Member>,
    /// Where the stream begins in the archive.
    begins: u64,
    /// Whether it is there as it is.
    is_stored: bool,
    /// How many bytes came out of it.
    made: u64,
    inspected: u64,
    total: usize,
    budget: Budget,
    findings: Findings,
    facts: Option<ModelFacts>,
    /// Where HDF5 files begin.
    hdf5: Vec<u64>,
}

impl Contents {
    /// The contents of these files, of which this was found so far.
    pub fn new(files: Vec<File>, findings: Findings, budget: Budget) -> Self {
        Self {
            total: files.len(),
            files: files.into_iter(),
            parts: Vec::new().into_iter(),
            member: None,
            begins: 0,
            is_stored: false,
            made: 0,
            inspected: 0,
            budget,
            findings,
            facts: None,
            hdf5: Vec::new(),
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, rule: &'static Rule, place: Place, message: impl std::fmt::Display) {
        self.findings.add(rule, place, message);
    }

    /// Adds what is the matter with the stream.
    pub fn damaged(&mut self, damage: Damage) {
        let name = self.member.as_ref().map(|member| text::shown(&member.name));
        let place = Place::at(self.begins).of_any(name.as_deref());
        let (rule, message): (&'static Rule, _) = match damage {
            Damage::Packed => (
                &rules::SEVENZIP_DATA,
                "a packed stream is damaged, or does not end where it should".to_owned(),
            ),
            Damage::Size => (
                &rules::SEVENZIP_DATA,
                "another number of bytes comes out of a packed stream than the header says".to_owned(),
            ),
            Damage::Sum(sum) => (
                &rules::SEVENZIP_DATA,
                format!("a file's content has the checksum {sum:08x}, not the one that the header says"),
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
    pub fn begin(&mut self, stream: &Stream, at: u64) {
        self.parts = stream.parts.clone().into_iter();
        self.begins = at;
        self.is_stored = stream.coder == Coder::Copy && !stream.is_filtered;
        self.made = 0;
    }

    /// Takes what comes out of the stream while `run` unpacks it.
    ///
    /// # Errors
    ///
    /// When the rest is not to be followed.
    pub fn receive(&mut self, run: impl FnOnce(Receive<'_>) -> Result<(), Failure>) -> Result<(), Damage> {
        let mut damage = None;
        let result = run(&mut |out| {
            damage = self.take(out).err();
            damage.is_none()
        });
        match damage {
            Some(damage) => Err(damage),
            None => Ok(result?),
        }
    }

    fn take(&mut self, out: &[u8]) -> Result<(), Damage> {
        if !self.budget.spend(out.len()) {
            return Err(Damage::Budget);
        }
        let mut rest = out;
        while !rest.is_empty() {
            let Some(member) = self.next()? else {
                return Err(Damage::Size);
            };
            let taken = usize::try_from(member.left).unwrap_or(usize::MAX).min(rest.len());
            let (mine, after) = rest.split_at(taken);
            member.file.feed(mine);
            member.sum.update(mine);
            member.left -= taken as u64;
            self.made += taken as u64;
            rest = after;
        }
        Ok(())
    }

    /// The file that the next bytes belong to; none if the stream should have ended.
    fn next(&mut self) -> Result<Option<&mut Member>, Damage> {
        while self.member.as_ref().is_none_or(|member| member.left == 0) {
            self.close()?;
            let Some(part) = self.parts.next() else {
                return Ok(None);
            };
            let Some(file) = self.files.find(|file| file.has_content) else {
                return Err(Damage::Size);
            };
            self.member = Some(Member {
                file: Box::new(FileInspector::within(&file.name, &self.budget)),
                name: file.name,
                sum: crc32fast::Hasher::new(),
                expected: part.sum,
                left: part.bytes,
                at: self.made,
            });
        }
        Ok(self.member.as_mut())
    }

    /// The content of a file is there.
    fn close(&mut self) -> Result<(), Damage> {
        let Some(member) = &self.member else { return Ok(()) };
        let sum = member.sum.clone().finalize();
        if member.expected != Some(sum) {
            return Err(Damage::Sum(sum));
        }
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let outcome = member.file.finish();
        let (begins, at) = (self.begins, self.begins.saturating_add(member.at));
        let is_stored = self.is_stored;
        let place = |offset: u64| {
            if is_stored {
                at.saturating_add(offset)
            } else {
                begins
            }
        };
        self.findings
            .append(outcome.findings.within(&text::shown(&member.name), place));
        if is_stored {
            self.hdf5.extend(outcome.hdf5.iter().map(|offset| place(*offset)));
        }
        learn(&mut self.facts, outcome.facts);
        self.inspected += 1;
        Ok(())
    }

    /// The stream has ended, and everything should have come out.
    ///
    /// # Errors
    ///
    /// When it has not.
    pub fn end(&mut self) -> Result<(), Damage> {
        match self.next()? {
            None => Ok(()),
            Some(_) => Err(Damage::Size),
        }
    }

    /// The archive has ended.
    pub fn conclude(mut self) -> Found {
        if self.total == 0 && !self.findings.refuse() {
            self.add(&rules::FMT_EMPTY, Place::whole(), "the archive has no files");
        }
        if !self.findings.refuse() {
            let message = format_args!(
                "a 7z archive, all of whose {} files with content were inspected",
                self.inspected
            );
            self.findings
                .add(&rules::SEVENZIP_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.findings,
            facts: self.facts,
            hdf5: self.hdf5,
            ..Found::default()
        }
    }
}
