//! Zip archives, and the model formats that are zip archives: PyTorch checkpoints, TorchScript programs, NumPy's `.npz`.
//!
//! The directory is read first, the archive then once from its first byte to its last. Each member's own header must say what
//! the directory says, members must lie one after the other without a gap, and what they hold goes to the inspectors for
//! it. Memory is bounded by the directory's limit, what may be unpacked by a budget. Trust boundary: every byte, and every
//! program that reads archives more forgivingly.

mod directory;
mod entry;
mod judge;
mod keras;
mod member;
mod outlines;
mod package;
mod script;
mod torch;

use crate::ahead::Wrong;
use crate::budget::Budget;
use crate::bytes::in_memory;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::{Found, Inspector};
use crate::rules;
use crate::scan::{Own, Scan};
use crate::text;
pub use directory::{Directory, MAX_DIRECTORY_BYTES};
use entry::{Entry, LOCAL_BYTES, local_bytes};
use member::{Damage, Unpacker};
pub use outlines::Outlines;
use package::{Content, Package};

#[derive(Debug)]
enum Stage {
    /// A member's own header.
    Local,
    /// A member's data, so many bytes of it.
    Data { left: u64, member: Box<Open> },
    /// What follows the data of a member whose header left its sizes open.
    Descriptor { bytes: usize },
    /// The directory.
    Directory,
    /// Nothing more is read: what was found means that the rest cannot be told.
    Stopped,
}

/// A member whose data goes by.
#[derive(Debug)]
struct Open {
    unpacker: Unpacker,
    content: Content,
    data_at: u64,
    /// The search in what is unpacked, where nobody else does it: what is stored as it is goes by outside.
    scan: Option<Scan>,
}

/// The inspector for zip archives.
#[derive(Debug)]
pub struct Zip {
    directory: Directory,
    /// Which member comes next, or is being read.
    next: usize,
    current: Option<Entry>,
    at: u64,
    held: Vec<u8>,
    stage: Stage,
    package: Package,
    outlines: Outlines,
    budget: Budget,
    findings: Findings,
}

impl Zip {
    /// An inspector for the archive with this directory, and what was read of members.
    pub fn new(directory: Directory, outlines: Outlines, budget: Budget) -> Self {
        let mut findings = Findings::default();
        let legible = judge::judge(&directory, &mut findings);
        let package = Package::of(&directory, &mut findings);
        let mut zip = Self {
            current: directory.entry(0),
            directory,
            next: 0,
            at: 0,
            held: Vec::new(),
            stage: Stage::Stopped,
            package,
            outlines,
            budget,
            findings,
        };
        if legible {
            zip.stage = zip.ahead();
        }
        zip
    }

    /// An inspector for the archive of which these are all bytes.
    ///
    /// # Errors
    ///
    /// What is the matter with its directory.
    pub fn of(bytes: &[u8], budget: Budget) -> Result<Box<dyn Inspector>, Wrong> {
        let directory = Directory::of(bytes)?;
        let outlines = Outlines::read(&directory, &mut in_memory(bytes));
        Ok(Box::new(Self::new(directory, outlines, budget)))
    }

    /// What an archive is, by the names of its members.
    pub fn format(&self) -> Format {
        self.package.format
    }

    /// What comes after a member.
    fn ahead(&self) -> Stage {
        if self.next < self.directory.members() {
            Stage::Local
        } else {
            Stage::Directory
        }
    }

    /// The member that comes next, or is being read.
    fn entry(&self) -> Option<&Entry> {
        self.current.as_ref()
    }

    /// Goes on to the next member.
    fn advance(&mut self) {
        self.next += 1;
        self.current = self.directory.entry(self.next);
        self.stage = self.ahead();
    }

    /// Where what follows the member begins.
    fn boundary(&self) -> u64 {
        let following = self.directory.entry(self.next + 1);
        following.map_or(self.directory.at, |entry| entry.at)
    }

    /// Collects `length` bytes; returns how many were taken and whether they are all there.
    fn hold(&mut self, bytes: &[u8], length: usize) -> (usize, bool) {
        let taken = length.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(taken));
        (taken, self.held.len() >= length)
    }

    fn wrong(&mut self, rule: &'static rules::Rule, at: u64, message: impl std::fmt::Display) {
        let part = self.entry().map(|entry| text::shown_bytes(&entry.name));
        self.findings
            .add(rule, Place::at(at).of_any(part.as_deref()), message);
        self.stage = Stage::Stopped;
    }

    fn local(&mut self, bytes: &[u8]) -> usize {
        let Some(begins) = self.entry().map(|entry| entry.at) else {
            self.stage = Stage::Directory;
            return 0;
        };
        let length = if self.held.len() < LOCAL_BYTES {
            LOCAL_BYTES
        } else {
            local_bytes(&self.held).unwrap_or(LOCAL_BYTES)
        };
        let (taken, complete) = self.hold(bytes, length);
        if !complete {
            return taken;
        }
        match local_bytes(&self.held) {
            None => self.wrong(
                &rules::ZIP_LAYOUT,
                begins,
                "no member begins where the directory says",
            ),
            Some(whole) if self.held.len() < whole => {}
            Some(_) => {
                let held = std::mem::take(&mut self.held);
                self.open(&held, self.at + taken as u64);
            }
        }
        taken
    }

    /// A member's header is complete: its data begins at `data_at`.
    fn open(&mut self, header: &[u8], data_at: u64) {
        let (Some(entry), boundary) = (self.entry().cloned(), self.boundary()) else {
            return;
        };
        let Some(local) = Entry::local(header) else {
            return self.wrong(
                &rules::ZIP_DISAGREES,
                entry.at,
                "a member's own header is malformed",
            );
        };
        if let Some(what) = entry.contradicted_by(&local) {
            let message = format_args!("a member's own header and the directory disagree on {what}");
            return self.wrong(&rules::ZIP_DISAGREES, entry.at, message);
        }
        if local.needs > judge::NEWEST {
            let message = format_args!("a member needs version {} of the format", local.needs);
            return self.wrong(&rules::ZIP_METHOD, entry.at, message);
        }
        if local.changed {
            let message = "a member has a second name, a second comment or a cipher in its extra fields";
            return self.wrong(&rules::ZIP_EXTRA, entry.at, message);
        }
        let gap = data_at
            .checked_add(entry.packed)
            .and_then(|end| boundary.checked_sub(end));
        let fits = match gap {
            Some(0) => !entry.has_descriptor() || entry.is_directory() || header_is_full(&entry, &local),
            Some(12 | 16 | 20 | 24) => entry.has_descriptor(),
            _ => false,
        };
        if !fits {
            let message = format_args!(
                "a member's data of {} bytes at {data_at} does not end where the next begins, at {boundary}",
                entry.packed
            );
            return self.wrong(&rules::ZIP_LAYOUT, entry.at, message);
        }
        let outline = self.outlines.take(entry.at, data_at);
        let content = self.package.open(&entry, outline, &self.budget);
        let scan = (entry.method != judge::STORED && !matches!(content, Content::File(_)))
            .then(|| Scan::new(self.budget.scanner()));
        self.stage = Stage::Data {
            left: entry.packed,
            member: Box::new(Open {
                unpacker: Unpacker::new(&entry),
                content,
                data_at,
                scan,
            }),
        };
        if entry.packed == 0 {
            self.close();
        }
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let Stage::Data { left, member } = &mut self.stage else {
            return 0;
        };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        let (mine, _) = bytes.split_at(taken);
        let Open {
            unpacker,
            content,
            scan,
            ..
        } = &mut **member;
        let package = &mut self.package;
        let result = unpacker.feed(mine, &self.budget, |at, bytes| {
            if let Some(scan) = scan {
                scan.feed(bytes);
            }
            package.feed(content, at, bytes);
        });
        *left -= taken as u64;
        let done = *left == 0;
        if let Err(damage) = result {
            self.damaged(&damage);
        } else if done {
            self.close();
        }
        taken
    }

    /// The data of a member has ended.
    fn close(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Stopped);
        let (Stage::Data { member, .. }, Some(entry)) = (stage, self.entry().cloned()) else {
            return;
        };
        let Open {
            unpacker,
            content,
            data_at,
            scan,
        } = *member;
        if let Some(scan) = scan {
            let found = scan.finish(self.package.format, &Own::Nothing);
            let name = text::shown_bytes(&entry.name);
            self.findings.append(found.within(&name, |_| entry.at));
        }
        match unpacker.finish() {
            Ok(size) => self
                .package
                .close(&entry, content, size, data_at, &mut self.findings),
            Err(damage) => return self.damaged(&damage),
        }
        let gap = self.boundary().saturating_sub(data_at + entry.packed);
        if gap == 0 {
            self.advance();
        } else {
            self.stage = Stage::Descriptor {
                bytes: usize::try_from(gap).unwrap_or(0),
            };
        }
    }

    fn damaged(&mut self, damage: &Damage) {
        let at = self.entry().map_or(self.at, |entry| entry.at);
        match damage {
            Damage::Packed => self.wrong(
                &rules::ZIP_DATA,
                at,
                "a member's compressed data is damaged, or does not end where it should by its sizes",
            ),
            Damage::Size(size) => {
                let message = format_args!("a member unpacks to another size ({size} bytes) than it claims");
                self.wrong(&rules::ZIP_DATA, at, message);
            }
            Damage::Checksum(found) => {
                let message =
                    format_args!("a member's content has the checksum {found:08x}, not the one it claims");
                self.wrong(&rules::ZIP_DATA, at, message);
            }
            Damage::Budget => self.wrong(
                &rules::ZIP_BOMB,
                at,
                "far more comes out of the archive than its size can explain",
            ),
        }
    }

    fn descriptor(&mut self, bytes: &[u8], length: usize) -> usize {
        let (taken, complete) = self.hold(bytes, length);
        if complete {
            let held = std::mem::take(&mut self.held);
            if self.entry().is_some_and(|entry| entry.confirmed_by(&held)) {
                self.advance();
            } else {
                let message =
                    "what follows a member's data disagrees with the directory on its size or checksum";
                let begins = (self.at + taken as u64).saturating_sub(length as u64);
                self.wrong(&rules::ZIP_DISAGREES, begins, message);
            }
        }
        taken
    }

    /// The directory goes by: it must be the one that was read before.
    fn again(&mut self, bytes: &[u8]) -> usize {
        let from = self.at.checked_sub(self.directory.at);
        let expected = from
            .and_then(|from| usize::try_from(from).ok())
            .and_then(|from| self.directory.bytes.get(from..)?.get(..bytes.len()));
        if expected != Some(bytes) {
            self.wrong(
                &rules::ZIP_CHANGED,
                self.directory.at,
                "the archive's directory changed while it was inspected",
            );
        }
        bytes.len()
    }
}

/// Whether a header that could have left its sizes open has them all the same.
fn header_is_full(entry: &Entry, local: &Entry) -> bool {
    (local.packed, local.size, local.crc) == (entry.packed, entry.size, entry.crc)
}

impl Inspector for Zip {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.stage {
                Stage::Local => self.local(rest),
                Stage::Data { .. } => self.data(rest),
                Stage::Descriptor { bytes } => self.descriptor(rest, bytes),
                Stage::Directory => self.again(rest),
                Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        let expected = self.directory.at + self.directory.bytes.len() as u64;
        let complete = matches!(self.stage, Stage::Directory) && size == expected;
        if !complete && !matches!(self.stage, Stage::Stopped) {
            self.wrong(
                &rules::ZIP_CHANGED,
                size,
                "the archive's size changed while it was inspected",
            );
        }
        let format = self.package.format;
        let own = if format == Format::Zip {
            Own::All
        } else {
            Own::At(self.directory.entries().map(|entry| entry.at).collect())
        };
        let hdf5 = std::mem::take(&mut self.package.hdf5);
        let (facts, weights) = self
            .package
            .conclude(&self.directory, complete, &mut self.findings);
        Found {
            findings: self.findings,
            facts,
            format: Some(format),
            weights,
            own: Some(own),
            hdf5,
            ..Found::default()
        }
    }
}
