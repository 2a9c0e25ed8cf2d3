//! 7z archives: what comes out of each packed stream is divided into the files that the header says, each of which is inspected as a file
//! of its own is.
//!
//! The header at the end is read first, the archive then once from its first byte to its last. Memory is bounded by the header's limit and the
//! windows of the decoders, what may be unpacked by a budget. Trust boundary: every byte, and every program that unpacks archives and
//! follows what they say about the file system.

mod contents;
mod header;
mod judge;
mod layout;

use crate::ahead::Wrong;
use crate::budget::Budget;
use crate::bytes::in_memory;
use crate::finding::Place;
use crate::inspector::{Found, Inspector};
use crate::rules::{self, Rule};
use crate::scan::Own;
use crate::unpack::{Bzip2, Deflate, Failure, Lzma, Lzma2, Stored, Unpack, X86};
use contents::{Contents, Damage};
use header::{Coder, Stream};
use layout::START_BYTES;
pub use layout::{Layout, SIGNATURE};

enum Stage {
    /// The first header.
    Start,
    /// A packed stream, so many bytes of it.
    Stream { left: u64, unpack: Box<dyn Unpack> },
    /// What follows the packed streams.
    End,
    /// Nothing more is read: what was found means that the rest cannot be told.
    Stopped,
}

/// The inspector for 7z archives.
pub struct SevenZip {
    layout: Layout,
    /// The streams that have not begun.
    streams: std::vec::IntoIter<Stream>,
    /// Where the next stream begins.
    begins: u64,
    at: u64,
    stage: Stage,
    contents: Contents,
    budget: Budget,
}

/// What unpacks a stream.
///
/// # Errors
///
/// When that takes more memory than there is, or there is no such stream.
fn unpacker(stream: &Stream, budget: &Budget) -> Result<Box<dyn Unpack>, Failure> {
    let unpack: Box<dyn Unpack> = match stream.coder {
        Coder::Copy => Box::new(Stored),
        Coder::Lzma { properties, window } => {
            Box::new(Lzma::raw(properties, window, stream.unpacked, budget)?)
        }
        Coder::Lzma2 { window } => Box::new(Lzma2::new(window, Some(stream.unpacked), budget)?),
        Coder::Deflate => Box::new(Deflate::raw()),
        // Readers stop at the end of the first stream.
        Coder::Bzip2 => Box::new(Bzip2::single(budget)),
    };
    if stream.is_filtered {
        Ok(Box::new(X86::new(unpack)?))
    } else {
        Ok(unpack)
    }
}

impl SevenZip {
    /// An inspector for the archive with this layout.
    pub fn new(mut layout: Layout, budget: Budget) -> Self {
        let mut findings = std::mem::take(&mut layout.found);
        judge::judge(&layout.header.files, &budget, &mut findings);
        let header = std::mem::take(&mut layout.header);
        Self {
            layout,
            streams: header.streams.into_iter(),
            begins: START_BYTES as u64,
            at: 0,
            stage: Stage::Start,
            contents: Contents::new(header.files, findings, budget.clone()),
            budget,
        }
    }

    /// An inspector for the archive of which these are all bytes.
    ///
    /// # Errors
    ///
    /// What is the matter with its header.
    pub fn of(bytes: &[u8], budget: Budget) -> Result<Box<dyn Inspector>, Wrong> {
        let layout = Layout::read(bytes.len() as u64, &mut in_memory(bytes), &budget)?;
        Ok(Box::new(Self::new(layout, budget)))
    }

    fn wrong(&mut self, rule: &'static Rule, at: u64, message: impl std::fmt::Display) {
        self.contents.add(rule, Place::at(at), message);
        self.stage = Stage::Stopped;
    }

    fn damaged(&mut self, damage: Damage) {
        self.contents.damaged(damage);
        self.stage = Stage::Stopped;
    }

    /// Begins with the next stream, or with what follows the last.
    fn advance(&mut self) {
        let Some(stream) = self.streams.next() else {
            self.stage = Stage::End;
            return;
        };
        let (left, unpack) = (stream.packed, unpacker(&stream, &self.budget));
        self.contents.begin(stream, self.begins);
        self.begins = self.begins.saturating_add(left);
        match unpack {
            Ok(unpack) => self.stage = Stage::Stream { left, unpack },
            Err(failure) => self.damaged(failure.into()),
        }
    }

    /// The bytes at the start, or at the end, go by: they must be those that were read before.
    fn again(&mut self, bytes: &[u8]) -> usize {
        let (from, read): (u64, &[u8]) = match self.stage {
            Stage::Start => (0, &self.layout.start),
            _ => (self.layout.streams_end, &self.layout.end),
        };
        let done = usize::try_from(self.at.saturating_sub(from)).unwrap_or(usize::MAX);
        let expected = read.get(done..).unwrap_or_default();
        let taken = expected.len().min(bytes.len());
        let is_same = taken > 0 && expected.get(..taken) == bytes.get(..taken);
        let complete = taken == expected.len();
        if !is_same {
            self.wrong(
                &rules::SEVENZIP_CHANGED,
                from,
                "the archive's header changed while it was inspected",
            );
            return bytes.len();
        }
        if complete && matches!(self.stage, Stage::Start) {
            self.advance();
        }
        taken
    }

    fn data(&mut self, bytes: &[u8]) -> usize {
        let Stage::Stream { left, unpack } = &mut self.stage else {
            return 0;
        };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        let (mine, _) = bytes.split_at(taken);
        let result = self.contents.receive(|receive| unpack.feed(mine, receive));
        *left -= taken as u64;
        let done = *left == 0;
        if let Err(damage) = result {
            self.damaged(damage);
        } else if done {
            self.close();
        }
        taken
    }

    /// A packed stream has ended.
    fn close(&mut self) {
        let Stage::Stream { mut unpack, .. } = std::mem::replace(&mut self.stage, Stage::Stopped) else {
            return;
        };
        let result = self.contents.receive(|receive| unpack.finish(receive));
        // Its memory is free for the next.
        drop(unpack);
        match result.and_then(|()| self.contents.end()) {
            Ok(()) => self.advance(),
            Err(damage) => self.damaged(damage),
        }
    }
}

impl Inspector for SevenZip {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match self.stage {
                Stage::Start | Stage::End => self.again(rest),
                Stage::Stream { .. } => self.data(rest),
                Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        let expected = self.layout.streams_end + self.layout.end.len() as u64;
        if !matches!(self.stage, Stage::Stopped) && size != expected {
            self.wrong(
                &rules::SEVENZIP_CHANGED,
                size,
                "the archive's size changed while it was inspected",
            );
        }
        Found {
            own: Some(Own::All),
            ..self.contents.conclude()
        }
    }
}
