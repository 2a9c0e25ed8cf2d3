//! LZMA: one stream without a checksum, with a header of thirteen bytes where it is a file of its own.
//!
//! The `lzma-rust2` crate unpacks, without `unsafe` as it is built here. Source: the LZMA SDK's `lzma-specification.txt`.

use lzma_rust2::{Action, LzmaStream};

use super::drive::{Flow, Window, drive};
use super::{Failure, Held, Receive, Unpack};
use crate::budget::Budget;
use crate::bytes::{long, word};
use crate::detect;

/// Properties, size of the window, size of the content.
const HEADER_BYTES: usize = 13;
/// Probabilities and what is read ahead.
const TABLES_BYTES: u64 = 64 << 10;
/// What the header has where the size is not known: the stream has an end of its own.
const UNKNOWN_SIZE: u64 = u64::MAX;
/// The largest number that stands for literal bits: the tables grow with its power.
const MAX_LITERAL_BITS: u8 = 4;

/// A file in LZMA's own old format, or a stream of it in an archive.
pub struct Lzma {
    held: Held,
    stream: Option<LzmaStream>,
    window: Option<Window>,
    ended: bool,
    /// What is the matter when something follows the end.
    followed: Failure,
    budget: Budget,
}

impl Lzma {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        Self {
            held: Held::default(),
            stream: None,
            window: None,
            ended: false,
            followed: Failure::Damaged,
            budget: budget.clone(),
        }
    }

    /// A stream without a header, of which something else says what the header would: the properties, how far back it reaches, and
    /// how many bytes come out.
    ///
    /// # Errors
    ///
    /// When there is no memory for it, or no such stream.
    pub fn raw(properties: u8, declared: u32, size: u64, budget: &Budget) -> Result<Self, Failure> {
        let mut lzma = Self::new(budget);
        lzma.start(properties, declared, Some(size))?;
        // liblzma marks the end although the size is known; the decoder stops before that mark and cannot tell it from anything else.
        lzma.followed = Failure::Unsupported("LZMA with a mark of its end, or something else behind it");
        Ok(lzma)
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
        self.start(
            properties,
            declared,
            Some(size).filter(|size| *size != UNKNOWN_SIZE),
        )
    }

    fn start(&mut self, properties: u8, declared: u32, size: Option<u64>) -> Result<(), Failure> {
        let (lc, lp) = (properties % 9, properties / 9 % 5);
        if lc + lp > MAX_LITERAL_BITS {
            return Err(Failure::Unsupported(
                "more bits for literals than common writers use (lc and lp above 4 together)",
            ));
        }
        let window = Window::new(declared, size, TABLES_BYTES, &self.budget)?;
        let stream =
            LzmaStream::new_with_props(size.unwrap_or(UNKNOWN_SIZE), properties, window.bytes(), None);
        self.stream = Some(stream.map_err(|_| Failure::Damaged)?);
        self.window = Some(window);
        Ok(())
    }

    fn run(&mut self, bytes: &[u8], action: Action, receive: Receive<'_>) -> Result<(), Failure> {
        let (Some(stream), Some(window)) = (&mut self.stream, &mut self.window) else {
            return Err(Failure::Damaged);
        };
        let mut rest = bytes;
        let step = |bytes: &[u8], out: &mut [u8]| stream.process(bytes, out, action);
        if drive(step, &mut rest, window, receive)? == Flow::Done {
            self.ended = true;
            let nothing_follows = rest.is_empty() && stream.unused_input().is_empty();
            return nothing_follows.then_some(()).ok_or(self.followed);
        }
        Ok(())
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
            return Err(self.followed);
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
