//! LZMA alone: a header of thirteen bytes and one stream, without a checksum.
//!
//! The `lzma-rust2` crate unpacks, without `unsafe` as it is built here. Source: the LZMA SDK's `lzma-specification.txt`.

use lzma_rust2::{Action, LzmaStream, Status};

use super::{Failure, Held, Receive, Unpack, WINDOW_BYTES};
use crate::bytes::{long, word};
use crate::detect;
use crate::zip::{Budget, Memory};

/// Properties, size of the window, size of the content.
const HEADER_BYTES: usize = 13;
/// How far back a match may reach, whatever the header says. Writers announce up to 64 MiB and more for files of any size.
pub const MAX_WINDOW_BYTES: u32 = 16 << 20;
/// Probabilities and what is read ahead.
const TABLES_BYTES: u64 = 64 << 10;
/// The largest number that stands for literal bits: the tables grow with its power.
const MAX_LITERAL_BITS: u8 = 4;

/// A file in LZMA's own old format.
pub struct Lzma {
    held: Held,
    stream: Option<LzmaStream>,
    /// Whether matches may reach farther back than is held.
    cut: bool,
    ended: bool,
    window: Box<[u8]>,
    budget: Budget,
    memory: Option<Memory>,
}

impl Lzma {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        Self {
            held: Held::default(),
            stream: None,
            cut: false,
            ended: false,
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            budget: budget.clone(),
            memory: None,
        }
    }

    fn open(&mut self) -> Result<(), Failure> {
        let header = self.held.take();
        // What is no such header to liblzma is none here either; the bytes after it begin with a zero.
        if !detect::is_lzma(&[header.as_slice(), &[0]].concat()) {
            return Err(Failure::Damaged);
        }
        let (Some(&properties), Some(declared), Some(size)) =
            (header.first(), word(&header, 1), long(&header, 5))
        else {
            return Err(Failure::Damaged);
        };
        let (lc, lp) = (properties % 9, properties / 9 % 5);
        if lc + lp > MAX_LITERAL_BITS {
            return Err(Failure::Unsupported("properties that no writer uses"));
        }
        let window = declared.clamp(4 << 10, MAX_WINDOW_BYTES);
        self.cut = declared > window;
        self.memory = self.budget.memory(u64::from(window) + TABLES_BYTES);
        if self.memory.is_none() {
            return Err(Failure::Memory);
        }
        let stream = LzmaStream::new_with_props(size, properties, window, None);
        self.stream = Some(stream.map_err(|_| Failure::Damaged)?);
        Ok(())
    }

    fn run(&mut self, bytes: &[u8], action: Action, receive: Receive<'_>) -> Result<(), Failure> {
        let Some(stream) = &mut self.stream else {
            return Err(Failure::Damaged);
        };
        let wrong = if self.cut {
            Failure::Memory
        } else {
            Failure::Damaged
        };
        let mut rest = bytes;
        loop {
            let result = stream
                .process(rest, &mut self.window, action)
                .map_err(|_| wrong)?;
            rest = rest.get(result.bytes_consumed..).unwrap_or_default();
            let made = result.bytes_produced;
            if made > 0 && !receive(self.window.get(..made).unwrap_or_default()) {
                return Ok(());
            }
            if result.status == Status::StreamEnd {
                self.ended = true;
                let nothing_follows = rest.is_empty() && stream.unused_input().is_empty();
                return nothing_follows.then_some(()).ok_or(Failure::Damaged);
            }
            if made < self.window.len() {
                if rest.is_empty() {
                    return Ok(());
                }
                if made == 0 && result.bytes_consumed == 0 {
                    return Err(wrong);
                }
            }
        }
    }
}

impl Unpack for Lzma {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        if self.stream.is_none() {
            if !self.held.fill(&mut rest, HEADER_BYTES) {
                return Ok(());
            }
            self.open()?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(Failure::Damaged);
        }
        self.run(rest, Action::Run, receive)
    }

    fn finish(&mut self, receive: Receive<'_>) -> Result<(), Failure> {
        if !self.ended {
            self.run(&[], Action::Finish, receive)?;
        }
        self.ended.then_some(()).ok_or(Failure::Damaged)
    }
}
