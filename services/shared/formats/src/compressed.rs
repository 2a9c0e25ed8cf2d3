//! Compressed files: gzip (RFC 1952) and zlib (RFC 1950). What comes out is inspected as a file of its own is, up to a budget.

use std::mem::discriminant;

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inflate::Inflate;
use crate::inspector::{FileInspector, Found, Inspector};
use crate::rules::{self, Rule};
use crate::zip::Budget;

/// The longest header of a gzip stream, with names and comments.
const MAX_HEADER_BYTES: usize = 4 << 10;
/// Checksum and length after a gzip stream.
const TRAILER_BYTES: usize = 8;
/// Flags of a gzip header: a checksum of it, extra fields, a name, a comment.
const FLAGS: [u8; 4] = [1 << 1, 1 << 2, 1 << 3, 1 << 4];

#[derive(Debug)]
enum Stage {
    /// The header of a gzip stream, which may be the second in the file.
    Header,
    /// Deflate.
    Data(Box<Inflate>),
    /// What follows a gzip stream.
    Trailer,
    /// The end of a zlib stream: nothing may follow.
    End,
    /// Nothing more is read.
    Stopped,
}

/// The inspector for a compressed file.
pub struct Compressed {
    format: Format,
    stage: Stage,
    held: Vec<u8>,
    crc: crc32fast::Hasher,
    /// Bytes that came out of the current stream, modulo 2³², as its trailer counts them.
    length: u32,
    streams: u64,
    at: u64,
    /// Where the current stage began: where in it the decompressor notices damage depends on how the bytes are cut.
    begins: u64,
    file: FileInspector,
    budget: Budget,
    findings: Findings,
}

impl Compressed {
    /// An inspector for a file that is gzip-compressed, or else zlib-compressed. `name` is the file's own.
    pub fn new(format: Format, name: &str, budget: Budget) -> Self {
        let inner = match name.rsplit_once('.') {
            Some((stem, end)) if end.eq_ignore_ascii_case("tgz") => format!("{stem}.tar"),
            Some((stem, "gz" | "GZ" | "z" | "Z")) => stem.to_owned(),
            // Its own extension says nothing about what is inside.
            _ => "inside".to_owned(),
        };
        Self {
            format,
            stage: if format == Format::Gzip {
                Stage::Header
            } else {
                Stage::Data(Box::new(Inflate::new(true)))
            },
            held: Vec::new(),
            crc: crc32fast::Hasher::new(),
            length: 0,
            streams: 0,
            at: 0,
            begins: 0,
            file: FileInspector::within(&inner, &budget),
            budget,
            findings: Findings::default(),
        }
    }

    fn stop(&mut self, rule: &'static Rule, message: &str) {
        self.findings.add(rule, Place::at(self.begins), message);
        self.stage = Stage::Stopped;
    }

    fn damaged(&mut self) {
        let message = "the compressed data is damaged, cut off, or followed by something else";
        self.stop(&rules::CMP_DATA, message);
    }

    /// Takes bytes of a header one by one: its length shows only on the way.
    fn header(&mut self, bytes: &[u8]) -> usize {
        for (index, byte) in bytes.iter().enumerate() {
            self.held.push(*byte);
            match header_end(&self.held) {
                Ok(false) if self.held.len() < MAX_HEADER_BYTES => {}
                Ok(true) => {
                    self.held.clear();
                    self.stage = Stage::Data(Box::new(Inflate::new(false)));
                    return index + 1;
                }
                _ => {
                    self.damaged();
                    return index + 1;
                }
            }
        }
        bytes.len()
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let Stage::Data(inflate) = &mut self.stage else {
            return 0;
        };
        let (file, crc, length, budget) = (&mut self.file, &mut self.crc, &mut self.length, &self.budget);
        let mut exhausted = false;
        let result = inflate.feed(bytes, |out| {
            exhausted = !budget.spend(out.len());
            if !exhausted {
                crc.update(out);
                *length = length.wrapping_add(u32::try_from(out.len()).unwrap_or(0));
                file.feed(out);
            }
            !exhausted
        });
        let ended = inflate.has_ended();
        match result {
            Err(_) => {
                self.damaged();
                bytes.len()
            }
            Ok(_) if exhausted => {
                let message = "far more comes out of the file than its size can explain";
                self.stop(&rules::ZIP_BOMB, message);
                bytes.len()
            }
            Ok(taken) => {
                if ended {
                    self.streams += 1;
                    self.stage = if self.format == Format::Gzip {
                        Stage::Trailer
                    } else {
                        Stage::End
                    };
                }
                taken
            }
        }
    }

    fn trailer(&mut self, bytes: &[u8]) -> usize {
        let taken = TRAILER_BYTES.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(taken));
        if self.held.len() == TRAILER_BYTES {
            let crc = std::mem::take(&mut self.crc).finalize();
            let expected = [crc.to_le_bytes(), self.length.to_le_bytes()].concat();
            if self.held == expected {
                self.held.clear();
                self.length = 0;
                self.stage = Stage::Header;
            } else {
                self.damaged();
            }
        }
        taken
    }

    fn is_complete(&self) -> bool {
        match self.stage {
            Stage::End => true,
            Stage::Header => self.streams > 0 && self.held.is_empty(),
            _ => false,
        }
    }
}

/// Whether these bytes are a whole header; an error if they never will be.
fn header_end(held: &[u8]) -> Result<bool, ()> {
    let fixed = [0x1f, 0x8b, 8];
    if !held.iter().zip(fixed).all(|(found, expected)| *found == expected) {
        return Err(());
    }
    let Some(flags) = held.get(3).filter(|_| held.len() >= 10) else {
        return Ok(false);
    };
    let [checksum, extra, name, comment] = FLAGS.map(|flag| flags & flag != 0);
    // The lowest bit guesses that the content is text.
    if flags & !(FLAGS.iter().sum::<u8>() | 1) != 0 {
        return Err(());
    }
    let mut at = 10;
    if extra {
        let Some(length) = held.get(at..).and_then(|rest| rest.first_chunk().copied()) else {
            return Ok(false);
        };
        at += 2 + usize::from(u16::from_le_bytes(length));
    }
    for present in [name, comment] {
        if present {
            let Some(length) = held
                .get(at..)
                .and_then(|rest| rest.iter().position(|byte| *byte == 0))
            else {
                return Ok(false);
            };
            at += length + 1;
        }
    }
    if checksum {
        at += 2;
    }
    Ok(held.len() >= at)
}

impl Inspector for Compressed {
    fn feed(&mut self, at: u64, chunk: &[u8]) {
        self.at = at;
        let mut rest = chunk;
        while !rest.is_empty() {
            let before = discriminant(&self.stage);
            let taken = match self.stage {
                Stage::Header => self.header(rest),
                Stage::Data(_) => self.data(rest),
                Stage::Trailer => self.trailer(rest),
                Stage::End => {
                    self.damaged();
                    rest.len()
                }
                Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            if discriminant(&self.stage) != before {
                self.begins = self.at;
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        if !matches!(self.stage, Stage::Stopped) && !self.is_complete() {
            self.begins = size;
            self.damaged();
        }
        let facts: Option<ModelFacts>;
        if matches!(self.stage, Stage::Stopped) {
            facts = None;
        } else {
            let outcome = self.file.finish();
            facts = outcome.facts;
            self.findings
                .append(outcome.findings.within(outcome.format.name(), |_| 0));
            if !self.findings.refuse() {
                let (outer, inner) = (self.format.description(), outcome.format.description());
                let message = format_args!("{outer}, which holds {inner}");
                self.findings.add(&rules::CMP_ADMITTED, Place::whole(), message);
            }
        }
        Found {
            findings: self.findings,
            facts,
            ..Found::default()
        }
    }
}
