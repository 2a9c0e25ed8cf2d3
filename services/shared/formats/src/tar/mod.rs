//! Tar archives, member by member. Each is inspected as a file of its own is.
//!
//! Trust boundary: every byte, and every program that unpacks archives and follows what they say about the file system.

mod header;

use crate::budget::Budget;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::{FileInspector, Found, Inspector, learn};
use crate::paths::{self, Seen};
use crate::pickle::Context;
use crate::rules::{self, Rule};
use crate::text;
use header::{BLOCK_BYTES, Extended, Header, extended, until_zero};
use holdfast_contract::report::ModelFacts;

/// The longest name or extended header.
const MAX_EXTENDED_BYTES: u64 = 64 << 10;
/// The most members.
const MAX_MEMBERS: u64 = 32 << 10;

/// Who gets the bytes of a member.
enum Content {
    /// A file: it is inspected.
    File(Box<FileInspector>),
    /// The name of the next member, or an extended header for it.
    Notes { bytes: Vec<u8>, kind: u8 },
    /// Nobody.
    Nothing,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Notes { .. } => "Notes",
            Self::Nothing => "Nothing",
        })
    }
}

#[derive(Debug)]
enum Stage {
    /// A header block, or the first of the zero blocks at the end.
    Header,
    /// Content, and then the rest of its last block.
    Data {
        left: u64,
        padding: u64,
        content: Content,
    },
    /// The zero blocks at the end; `bytes` of them so far.
    End { bytes: u64 },
    /// Nothing more is read.
    Stopped,
}

/// The inspector for tar archives.
#[derive(Debug)]
pub struct Tar {
    at: u64,
    held: Vec<u8>,
    stage: Stage,
    /// What the next member is called, and where its header is.
    name: Vec<u8>,
    begins: u64,
    data_at: u64,
    /// What was said about the next member before its header.
    long_name: Option<Vec<u8>>,
    extended: Option<Extended>,
    seen: Seen,
    members: u64,
    files: u64,
    budget: Budget,
    findings: Findings,
    facts: Option<ModelFacts>,
    /// Which parts of PyTorch's format of 2016 are among the members.
    parts: [bool; 3],
    /// Where HDF5 files begin.
    hdf5: Vec<u64>,
}

/// Those parts, without which PyTorch loads nothing.
const PARTS: [(&[u8], Context); 3] = [
    (b"pickle", Context::TarObject),
    (b"storages", Context::TarStorages),
    (b"tensors", Context::TarTensors),
];

impl Tar {
    /// An inspector whose members share this allowance.
    pub fn new(budget: Budget) -> Self {
        Self {
            at: 0,
            held: Vec::new(),
            stage: Stage::Header,
            name: Vec::new(),
            begins: 0,
            data_at: 0,
            long_name: None,
            extended: None,
            seen: Seen::default(),
            members: 0,
            files: 0,
            budget,
            findings: Findings::default(),
            facts: None,
            parts: [false; 3],
            hdf5: Vec::new(),
        }
    }

    /// The inspection of a file: by its content, unless it is a pickle and has the name of a part of PyTorch's format of 2016.
    fn file(&mut self) -> FileInspector {
        let name = String::from_utf8_lossy(&self.name);
        let file = FileInspector::within(&name, &self.budget);
        let part = PARTS
            .iter()
            .zip(&mut self.parts)
            .find(|((part, _), _)| *part == self.name);
        match part {
            Some(((_, context), there)) => {
                *there = true;
                file.of_pickle(*context)
            }
            None => file,
        }
    }

    fn add(&mut self, rule: &'static Rule, message: impl std::fmt::Display) {
        let place = Place::at(self.begins).of(&text::shown_bytes(&self.name));
        self.findings.add(rule, place, message);
    }

    fn stop(&mut self, rule: &'static Rule, message: impl std::fmt::Display) {
        self.add(rule, message);
        self.stage = Stage::Stopped;
    }

    fn header(&mut self, bytes: &[u8]) -> usize {
        let taken = BLOCK_BYTES.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(taken));
        if let Some(block) = self.held.first_chunk().copied() {
            self.held.clear();
            self.begins = (self.at + taken as u64).saturating_sub(BLOCK_BYTES as u64);
            self.data_at = self.begins + BLOCK_BYTES as u64;
            self.open(&block);
        }
        taken
    }

    fn open(&mut self, block: &[u8; BLOCK_BYTES]) {
        self.name.clear();
        if block.iter().all(|byte| *byte == 0) {
            if self.long_name.is_some() || self.extended.is_some() {
                return self.stop(&rules::TAR_HEADER, "a member is described that does not follow");
            }
            self.stage = Stage::End {
                bytes: BLOCK_BYTES as u64,
            };
            return;
        }
        let Ok(header) = Header::read(block) else {
            return self.stop(&rules::TAR_HEADER, "a member's header is malformed");
        };
        let Header { name, size, kind } = header;
        let content = match kind {
            b'L' | b'x' => {
                self.name = name;
                if size > MAX_EXTENDED_BYTES {
                    let message = format_args!("the description of a member takes {size} bytes");
                    return self.stop(&rules::TAR_HEADER, message);
                }
                let twice = if kind == b'L' {
                    self.long_name.is_some()
                } else {
                    self.extended.is_some()
                };
                if twice {
                    return self.stop(&rules::TAR_HEADER, "a member is described twice");
                }
                return self.read(
                    size,
                    Content::Notes {
                        bytes: Vec::new(),
                        kind,
                    },
                );
            }
            // What it says holds for every member that follows, in some programs.
            b'g' => {
                self.name = name;
                return self.stop(
                    &rules::TAR_HEADER,
                    "a header that changes all the members that follow",
                );
            }
            _ => self.member(name, kind),
        };
        let Some(content) = content else { return };
        let size = self
            .extended
            .take()
            .and_then(|extended| extended.size)
            .unwrap_or(size);
        if matches!(content, Content::Nothing) && size != 0 {
            return self.stop(&rules::TAR_HEADER, "a directory has content");
        }
        self.read(size, content);
    }

    /// A member of the archive, with the name that was given before.
    fn member(&mut self, name: Vec<u8>, kind: u8) -> Option<Content> {
        let changed = self.extended.as_ref().is_some_and(|extended| extended.changes);
        let path = self.extended.as_mut().and_then(|extended| extended.path.take());
        let long = self.long_name.take();
        if path.is_some() && long.is_some() {
            self.stop(&rules::TAR_HEADER, "a member has two long names");
            return None;
        }
        // Ordinary tools begin every name so.
        let name = path.or(long).unwrap_or(name);
        self.name = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
        self.members += 1;
        if self.members > MAX_MEMBERS {
            self.stop(
                &rules::TAR_HEADER,
                format_args!("more than {MAX_MEMBERS} members"),
            );
            return None;
        }
        let is_directory = kind == b'5';
        // The archive's own directory.
        if is_directory && self.name.is_empty() {
            return Some(Content::Nothing);
        }
        if let Some(why) = paths::bad(&self.name, is_directory) {
            self.add(&rules::TAR_NAME, format_args!("a member's name {why}"));
        }
        if !self.seen.insert(&self.name) {
            let message = "two members have the same name, or differ in upper and lower case only";
            self.add(&rules::TAR_NAME, message);
        }
        let what = match kind {
            b'0' | 0 | b'7' if !changed => {
                self.files += 1;
                return Some(Content::File(Box::new(self.file())));
            }
            b'5' => return Some(Content::Nothing),
            b'1' => "a second name of another",
            b'2' => "a symbolic link",
            b'3' | b'4' => "a device",
            b'6' => "a pipe",
            _ => "of a kind that programs understand differently",
        };
        self.stop(&rules::TAR_LINK, format_args!("a member is {what}"));
        None
    }

    fn read(&mut self, size: u64, content: Content) {
        let block = BLOCK_BYTES as u64;
        self.stage = Stage::Data {
            left: size,
            padding: (block - size % block) % block,
            content,
        };
        if size == 0 {
            self.close();
        }
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let Stage::Data {
            left,
            padding,
            content,
        } = &mut self.stage
        else {
            return 0;
        };
        if *left > 0 {
            let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            let (mine, _) = bytes.split_at(taken);
            match content {
                Content::File(file) => file.feed(mine),
                Content::Notes { bytes, .. } => bytes.extend_from_slice(mine),
                Content::Nothing => {}
            }
            *left -= taken as u64;
            if *left == 0 {
                self.close();
            }
            return taken;
        }
        let taken = usize::try_from(*padding).unwrap_or(usize::MAX).min(bytes.len());
        *padding -= taken as u64;
        let (done, zero) = (*padding == 0, bytes.iter().take(taken).all(|byte| *byte == 0));
        if !zero {
            self.stop(&rules::TAR_PADDING, "something is written between two members");
        } else if done {
            self.stage = Stage::Header;
        }
        taken
    }

    /// A member's content has ended; its padding may follow.
    fn close(&mut self) {
        let Stage::Data { padding, content, .. } = &mut self.stage else {
            return;
        };
        let padding = *padding;
        let content = std::mem::replace(content, Content::Nothing);
        match content {
            Content::Nothing => {}
            Content::Notes { bytes, kind: b'L' } => self.long_name = Some(until_zero(&bytes).to_vec()),
            Content::Notes { bytes, .. } => match extended(&bytes) {
                Some(extended) => self.extended = Some(extended),
                None => return self.stop(&rules::TAR_HEADER, "the description of a member is malformed"),
            },
            Content::File(file) => {
                let outcome = file.finish();
                let name = text::shown_bytes(&self.name);
                let data_at = self.data_at;
                self.findings.append(
                    outcome
                        .findings
                        .within(&name, |offset| data_at.saturating_add(offset)),
                );
                let places = outcome.hdf5.iter().map(|at| data_at.saturating_add(*at));
                self.hdf5.extend(places);
                learn(&mut self.facts, outcome.facts);
            }
        }
        if padding == 0 {
            self.stage = Stage::Header;
        }
    }

    fn end(&mut self, bytes: &[u8], before: u64) -> usize {
        if let Some(index) = bytes.iter().position(|byte| *byte != 0) {
            self.begins = self.at.saturating_add(index as u64);
            self.stop(&rules::TAR_PADDING, "something follows the end of the archive");
        } else {
            self.stage = Stage::End {
                bytes: before + bytes.len() as u64,
            };
        }
        bytes.len()
    }
}

impl Inspector for Tar {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.stage {
                Stage::Header => self.header(rest),
                Stage::Data { .. } => self.data(rest),
                Stage::End { bytes } => self.end(rest, bytes),
                Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        let block = BLOCK_BYTES as u64;
        match self.stage {
            Stage::Stopped => {}
            // Two blocks of zeros, and no part of one.
            Stage::End { bytes } if bytes >= 2 * block && size.is_multiple_of(block) => {
                if self.files == 0 {
                    self.findings
                        .add(&rules::FMT_EMPTY, Place::whole(), "the archive has no members");
                }
            }
            _ => {
                self.begins = size;
                self.name.clear();
                self.stop(&rules::TAR_TRUNCATED, "the archive ends before it says so");
            }
        }
        if !self.findings.refuse() {
            let message = format_args!("a tar archive, all of whose {} files were inspected", self.files);
            self.findings.add(&rules::TAR_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.findings,
            facts: self.facts,
            format: (self.parts == [true; 3]).then_some(Format::PytorchTar),
            hdf5: self.hdf5,
            ..Found::default()
        }
    }
}
